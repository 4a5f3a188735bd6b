local smp121 = Proto("smp121", "Simple Messaging Protocol")

local INTEGER = { [1] = ProtoField.uint8, [2] = ProtoField.uint16, [4] = ProtoField.uint32 }
local actions = {}
for code, action in pairs(ACTIONS) do
  actions[code] = action.name
end

local fields = {}
local function number_field(prefix, entry, names)
  local abbreviation = "smp121." .. prefix .. entry.key
  fields[prefix .. entry.key] = INTEGER[entry.len](abbreviation, entry.name, entry.base, names, nil, entry.meaning)
end
for _, entry in ipairs(HEADER) do
  number_field("", entry)
end
for _, entry in ipairs(RECORD) do
  number_field("record.", entry, entry.key == "action" and actions or nil)
end
number_field("record.", ACCEPTED)
number_field("", OUTSTANDING)
local bits = { reserved = 0 }
for _, flag in ipairs(FLAGS) do
  bits[flag.key] = flag.bits
  if flag.name == "reserved" then
    bits.reserved = bits.reserved + flag.bits
  end
  fields["flags." .. flag.key] = ProtoField.bool("smp121.flags." .. flag.key, flag.name, 8, nil, flag.bits, flag.meaning)
end
fields.record = ProtoField.none("smp121.record", "Response record")
fields["record.data"] = ProtoField.bytes("smp121.record.data", "Variable data")
fields["checksum.status"] = ProtoField.string("smp121.checksum.status", "Checksum status")
fields["checksum.expected"] = ProtoField.uint16("smp121.checksum.expected", "Checksum should be", base.HEX)
fields.kind = ProtoField.string("smp121.kind", "Kind")
fields.total = ProtoField.uint32("smp121.total", "Total size")
fields.offset = ProtoField.uint32("smp121.offset", "Offset")
fields.largest = ProtoField.uint32("smp121.largest", "Largest request")
fields.last = ProtoField.bool("smp121.last", "Last part")
fields.name = ProtoField.bytes("smp121.name", "Mailslot name")
fields.name_text = ProtoField.string("smp121.name.text", "Mailslot name as text")
fields.data = ProtoField.bytes("smp121.data", "Data")
fields.fault = ProtoField.string("smp121.fault", "Fault")
local all = {}
for _, field in pairs(fields) do
  all[#all + 1] = field
end
smp121.fields = all

local faults, experts = {}, {}
for _, fault in ipairs(FAULTS) do
  local group = fault.word == "checksum" and expert.group.CHECKSUM or fault.drops and expert.group.MALFORMED or expert.group.PROTOCOL
  local severity = fault.drops and expert.severity.ERROR or expert.severity.WARN
  faults[fault.word] = ProtoExpert.new("smp121.fault." .. fault.word, fault.text, group, severity)
  experts[#experts + 1] = faults[fault.word]
end
smp121.experts = experts

local ADDRESSES = {
  { source = Field.new("ip.src"), destination = Field.new("ip.dst") },
  { source = Field.new("ipv6.src"), destination = Field.new("ipv6.dst"), is_v6 = true },
}

local function fault(tree, range, word)
  local item = tree:add(fields.fault, range, word)
  item:set_generated()
  item:add_proto_expert_info(faults[word])
end

local function has(flags, wanted)
  return bit.band(flags, wanted) ~= 0
end

-- The addresses of the innermost internet header.
local function addresses()
  local found
  for _, kind in ipairs(ADDRESSES) do
    local sources, destinations = { kind.source() }, { kind.destination() }
    local source, destination = sources[#sources], destinations[#destinations]
    if source and destination and (not found or source.offset > found.at) then
      found = { source = source.range, destination = destination.range, at = source.offset, is_v6 = kind.is_v6 }
    end
  end
  return found
end

local function words(range, sum)
  local len = range:len()
  for at = 0, len - 2, 2 do
    sum = sum + range(at, 2):uint()
  end
  if len % 2 == 1 then
    sum = sum + range(len - 1, 1):uint() * 256
  end
  return sum
end

-- What the checksum should be. The order of words does not matter, so IPv6 needs no form of its own.
local function checksum(tvb, length, between)
  local sum = PROTOCOL + length
  if between then
    sum = words(between.destination, words(between.source, sum))
  end
  sum = words(tvb(0, length), sum) - tvb(14, 2):uint()
  while sum > 0xffff do
    sum = sum % 0x10000 + math.floor(sum / 0x10000)
  end
  return 0xffff - sum
end

local function is_right(found, expected)
  return found == expected or (found == 0xffff and expected == 0)
end

local function judge_checksum(tree, tvb, length, between, is_checkable)
  local status = "unchecked"
  local expected
  if is_checkable then
    expected = checksum(tvb, length, between)
    status = is_right(tvb(14, 2):uint(), expected) and "right" or "wrong"
  end
  tree:add(fields["checksum.status"], tvb(14, 2), status):set_generated()
  if status == "wrong" then
    tree:add(fields["checksum.expected"], tvb(14, 2), expected):set_generated()
    fault(tree, tvb(14, 2), "checksum")
  end
end

local function add_header(tree, tvb, len)
  for _, entry in ipairs(HEADER) do
    if entry.at + entry.len <= len then
      local range = tvb(entry.at, entry.len)
      local item = tree:add(fields[entry.key], range)
      if entry.key == "flags" then
        for _, flag in ipairs(FLAGS) do
          item:add(fields["flags." .. flag.key], range)
        end
      end
    end
  end
end

-- The records that lie whole in front of `finish`; where they end, and how many they are.
local function add_records(tree, tvb, count, finish)
  local at = HEADER_LEN
  for index = 0, count - 1 do
    if at + RECORD_LEN > finish then
      return at, index
    end
    local size, code = tvb(at + 6, 1):uint(), tvb(at + 7, 1):uint()
    if at + RECORD_LEN + size > finish then
      return at, index
    end
    local range = tvb(at, RECORD_LEN + size)
    local item = tree:add(fields.record, range)
    local action = ACTIONS[code]
    item:append_text(string.format(": %s, connection %d", action and action.name or "unknown", tvb(at, 4):uint()))
    for _, entry in ipairs(RECORD) do
      item:add(fields["record." .. entry.key], tvb(at + entry.at, entry.len))
    end
    if size > 0 then
      item:add(fields["record.data"], tvb(at + RECORD_LEN, size))
    end
    if not action then
      fault(item, range, "unknown_action")
    elseif action.len ~= size then
      fault(item, range, "response_size")
    elseif action.len == ACCEPTED.len then
      item:add(fields["record.offset"], tvb(at + RECORD_LEN, ACCEPTED.len))
    end
    at = at + RECORD_LEN + size
  end
  return at, count
end

-- The length of the name at the front of `range`, or a fault.
local function name_len(tvb, at, finish)
  for len = 0, math.min(finish - at - 1, NAME_LEN_MAX) do
    if tvb(at + len, 1):uint() == 0 then
      if len == 0 then
        return nil, "name_empty"
      end
      return len
    end
  end
  return nil, "name_without_nul"
end

local function add_name(tree, tvb, at, len)
  tree:add(fields.name, tvb(at, len))
  tree:add(fields.name_text, tvb(at, len))
end

-- What the segment means: its word and what the list shows of it; or nothing and a fault.
local function add_kind(tree, tvb, flags, at, finish)
  local len = finish - at
  local som, eom, req, rpy = has(flags, bits.som), has(flags, bits.eom), has(flags, bits.req), has(flags, bits.rpy)
  local nam, rst = has(flags, bits.nam), has(flags, bits.rst)
  if req and rpy then
    return nil, "request_and_reply"
  elseif has(flags, bits.reserved) then
    return nil, "reserved_flags"
  elseif rst then
    return "reset", string.format("connection %d, mailslot %d", tvb(0, 4):uint(), tvb(8, 2):uint())
  elseif nam and req then
    local name, wrong = name_len(tvb, at, finish)
    if not name then
      return nil, wrong
    end
    add_name(tree, tvb, at, name)
    return "name_request", ""
  elseif nam and rpy then
    if len < OUTSTANDING.len then
      return nil, "name_reply_short"
    end
    local behind = at + OUTSTANDING.len
    if behind < finish then
      local name, wrong = name_len(tvb, behind, finish)
      if not name then
        return nil, wrong
      end
      add_name(tree, tvb, behind, name)
    end
    tree:add(fields.outstanding, tvb(at, OUTSTANDING.len))
    tree:add(fields.largest, tvb(4, 4))
    return "name_reply", string.format("mailslot %d", tvb(8, 2):uint())
  elseif not req and not rpy then
    if len == 0 then
      return "responses", ""
    end
    return nil, nam and "name_without_direction" or "data_without_direction"
  end
  local value = tvb(4, 4):uint()
  if (som and len > value) or (not som and value + len > 0xffffffff) then
    return nil, "data_beyond_total"
  end
  tree:add(som and fields.total or fields.offset, tvb(4, 4))
  tree:add(fields.last, tvb(12, 1), eom):set_generated()
  if len > 0 then
    tree:add(fields.data, tvb(at, len))
  end
  local where = som and string.format("%d of %d", len, value) or string.format("%d at %d", len, value)
  return req and "request" or "reply", string.format("connection %d, mailslot %d, %s", tvb(0, 4):uint(), tvb(8, 2):uint(), where)
end

local function dissect(tvb, pinfo, root, between, is_addressed)
  local len, whole_len = tvb:len(), tvb:reported_len()
  pinfo.cols.protocol = "SMP121"
  local tree = root:add(smp121, tvb())
  add_header(tree, tvb, len)
  if len < whole_len then
    fault(tree, tvb(), "truncated")
  end
  if whole_len < HEADER_LEN then
    fault(tree, tvb(), "short")
  end
  if len < HEADER_LEN then
    return
  end
  local length, flags, count = tvb(10, 2):uint(), tvb(12, 1):uint(), tvb(13, 1):uint()
  local finish = math.max(math.min(length, len), HEADER_LEN)
  local at, record_count = add_records(tree, tvb, count, finish)
  local is_whole = length >= HEADER_LEN and length <= len
  judge_checksum(tree, tvb, length, between, is_whole and is_addressed)
  if length < HEADER_LEN then
    fault(tree, tvb(10, 2), "length_below_header")
  elseif length > whole_len then
    fault(tree, tvb(10, 2), "length_beyond_datagram")
  elseif is_whole and record_count < count then
    fault(tree, tvb(13, 1), "responses_beyond_segment")
  elseif is_whole then
    local kind, about = add_kind(tree, tvb, flags, at, length)
    if kind then
      tree:add(fields.kind, tvb(12, 1), kind):set_generated()
      tree:append_text(", " .. kind)
      local records = count > 0 and string.format(" (%d records)", count) or ""
      pinfo.cols.info = kind .. (about ~= "" and " " .. about or "") .. records
    else
      fault(tree, tvb(12, 1), about)
      pinfo.cols.info = "invalid: " .. about
    end
  end
  if length >= HEADER_LEN and whole_len > length then
    fault(tree, len > length and tvb(length) or tvb(), "trailing")
  end
end

function smp121.dissector(tvb, pinfo, root)
  -- Inside UDP both addresses count as zero.
  if pinfo.match ~= PROTOCOL then
    return dissect(tvb, pinfo, root, nil, true)
  end
  local between = addresses()
  dissect(tvb, pinfo, root, between, between ~= nil)
end

-- On another UDP port: only what has length, flags and checksum right.
local function guess(tvb, pinfo, root)
  local len = tvb:len()
  if len < HEADER_LEN or len < tvb:reported_len() or tvb(10, 2):uint() ~= len or has(tvb(12, 1):uint(), bits.reserved) then
    return false
  end
  if not is_right(tvb(14, 2):uint(), checksum(tvb, len, nil)) then
    return false
  end
  dissect(tvb, pinfo, root, nil, true)
  return true
end

DissectorTable.get("ip.proto"):add(PROTOCOL, smp121)
DissectorTable.get("udp.port"):add(UDP_PORT, smp121)
smp121:register_heuristic("udp", guess)
