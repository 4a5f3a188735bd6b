'use strict';
// A device, or a server of devices, made of the npm packages `ws` and `@msgpack/msgpack` and Node's zlib, for the tests in tests/devices.
//
// POSTROAD_NPM_WRP is the folder with node_modules. Arguments: `server TOKEN`, or `device PORT NAME TOKEN`.
// Commands come as JSON lines on stdin:
//   {"send": {FIELDS}}            a message; its payload is given as hex
//   {"raw": HEX}, {"text": TEXT}  a WebSocket message as it is
//   {"stream": {"id", "len", "encoding", "packet", "base": {FIELDS}, "disorder": BOOL}}   a stream of generated octets
//   {"ping": TEXT}, {"close": CODE}
// What happens goes as JSON lines to stdout: {"listening"}, {"hello": HEADERS}, {"refused": STATUS}, {"open"}, {"message": FIELDS},
// {"stream": {"id", "len", "sha256", "end", "packets"}}, {"ping"}, {"pong"}, {"closed": CODE}. A request (type 3 without status) is
// answered with its payload in upper case. The process ends by itself after a minute, whatever happens.

const { createRequire } = require('module');
const crypto = require('crypto');
const http = require('http');
const path = require('path');
const readline = require('readline');
const zlib = require('zlib');
const load = createRequire(path.join(process.env.POSTROAD_NPM_WRP, 'x.js'));
const { WebSocket, WebSocketServer } = load('ws');
const { encode, decode } = load('@msgpack/msgpack');

const [role, ...rest] = process.argv.slice(2);
setTimeout(() => process.exit(3), 60000).unref();

function tell(what) {
  process.stdout.write(JSON.stringify(what) + '\n');
}

// The octets of a stream that both ends of a test can make.
function content(length) {
  const octets = Buffer.alloc(length);
  for (let at = 0; at < length; at++) octets[at] = (at * 7 + (at >> 8) * 13 + (at >> 16)) & 0xff;
  return octets;
}

function headersOf(message) {
  const found = {};
  for (const header of message.headers || []) {
    const colon = header.indexOf(':');
    if (colon > 0) found[header.slice(0, colon).trim().toLowerCase()] = header.slice(colon + 1).trim();
  }
  return found;
}

// Joins streams, whose packets come in order over one link.
const streams = new Map();
function join(message, headers) {
  const id = headers['stream-id'];
  const stream = streams.get(id) || { next: 0, hash: crypto.createHash('sha256'), len: 0 };
  streams.set(id, stream);
  if (Number(headers['stream-packet-number']) !== stream.next) throw new Error('a packet is missing');
  stream.next++;
  let octets = Buffer.from(message.payload || []);
  if (headers['stream-encoding'] === 'gzip') octets = zlib.gunzipSync(octets);
  if (headers['stream-encoding'] === 'deflate') octets = zlib.inflateRawSync(octets);
  stream.hash.update(octets);
  stream.len += octets.length;
  const end = headers['stream-final-packet'];
  if (end === undefined) return null;
  streams.delete(id);
  return {
    id: id, len: stream.len, sha256: stream.hash.digest('hex'), end: end, packets: stream.next,
    estimate: headers['stream-estimated-total-length'], head: headers['postroad-head'], trailer: headers['postroad-trailer'],
  };
}

function serve(socket) {
  const send = (message) => socket.send(encode(message, { ignoreUndefined: true }));
  socket.on('message', (octets, isBinary) => {
    if (!isBinary) return tell({ text: octets.toString() });
    const message = decode(octets);
    const headers = headersOf(message);
    if (headers['stream-id'] !== undefined) {
      const whole = join(message, headers);
      if (whole === null) return;
      tell({ stream: whole });
      if (message.msg_type === 3) {
        const payload = Buffer.from(JSON.stringify({ sha256: whole.sha256, len: whole.len }));
        send({ msg_type: 3, source: message.dest, dest: message.source, transaction_uuid: message.transaction_uuid, status: 200, payload: payload });
      }
      return;
    }
    if (message.msg_type === 3 && message.status === undefined) {
      const payload = Buffer.from(Buffer.from(message.payload || []).toString().toUpperCase());
      return send({ payload: payload, msg_type: 3, source: message.dest, dest: message.source, transaction_uuid: message.transaction_uuid });
    }
    tell({ message: { ...message, payload: message.payload && Buffer.from(message.payload).toString('hex') } });
  });
  socket.on('ping', (octets) => tell({ ping: octets.toString() }));
  socket.on('pong', (octets) => tell({ pong: octets.toString() }));
  socket.on('close', (code) => {
    tell({ closed: code });
    if (role === 'device') process.exit(0);
  });
  socket.on('error', () => {});
  return (command) => {
    if (command.send) send({ ...command.send, payload: command.send.payload && Buffer.from(command.send.payload, 'hex') });
    if (command.raw) socket.send(Buffer.from(command.raw, 'hex'));
    if (command.text !== undefined) socket.send(command.text);
    if (command.ping !== undefined) socket.ping(command.ping);
    if (command.close) socket.close(command.close);
    if (command.stream) stream(send, command.stream);
  };
}

function stream(send, { id, len, encoding, packet, base, disorder }) {
  const octets = content(len);
  const packets = [];
  const count = Math.max(1, Math.ceil(len / packet));
  for (let number = 0; number < count; number++) {
    const piece = octets.subarray(number * packet, (number + 1) * packet);
    const headers = [`Stream-ID: ${id}`, `stream-packet-number:  ${number} `];
    if (number === count - 1) headers.push('stream-final-packet: EOF');
    if (encoding && piece.length > 0) headers.push(`stream-encoding: ${encoding}`);
    const payload = encoding === 'gzip' ? zlib.gzipSync(piece) : encoding === 'deflate' ? zlib.deflateRawSync(piece) : piece;
    packets.push({ ...base, headers: headers, payload: payload });
  }
  if (disorder) {
    // Neighbours change places, and every third packet goes twice.
    for (let at = 0; at + 1 < packets.length; at += 2) [packets[at], packets[at + 1]] = [packets[at + 1], packets[at]];
  }
  packets.forEach((message, at) => {
    send(message);
    if (disorder && at % 3 === 0) send(message);
  });
}

let act = () => {};
if (role === 'server') {
  const [token] = rest;
  const server = http.createServer();
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    tell({ hello: { path: request.url, ...request.headers } });
    const status = request.headers.authorization === `Bearer ${token}` ? 0 : 403;
    if (status) return socket.end(`HTTP/1.1 ${status} Forbidden\r\nContent-Length: 0\r\n\r\n`);
    sockets.handleUpgrade(request, socket, head, (opened) => { act = serve(opened); tell({ open: true }); });
  });
  server.listen(0, '127.0.0.1', () => tell({ listening: server.address().port }));
} else {
  const [port, name, token] = rest;
  const headers = { 'X-Webpa-Device-Name': name, Authorization: `Bearer ${token}` };
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/v2/device`, { headers: headers, perMessageDeflate: true });
  socket.on('open', () => { act = serve(socket); tell({ open: true }); });
  socket.on('unexpected-response', (_, response) => { tell({ refused: response.statusCode }); process.exit(0); });
}
readline.createInterface({ input: process.stdin }).on('line', (line) => act(JSON.parse(line)));
