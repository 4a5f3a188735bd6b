//! Frames to octets.

use super::frame::{Frame, Open};
use super::parameters::Parameters;
use super::registry::{EXTENSION, frame_type};
use super::varint::{put_varint, varint_len};
use bytes::{BufMut, BytesMut};

/// The shortest header: type, flags, and a length of one octet.
const SHORTEST_LEN: usize = 3;

/// Octets in front of a body of this length.
#[must_use]
#[inline]
pub const fn header_len(body_len: usize) -> usize {
    2 + varint_len(body_len as u64)
}

/// Writes what stands in front of a body.
//= SMRP-F1
#[inline]
pub(crate) fn put_header(out: &mut BytesMut, number: u8, flags: u8, body_len: usize) {
    out.put_u8(number);
    out.put_u8(flags);
    put_varint(out, body_len as u64);
}

impl Frame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        // An unknown frame whose type is that of another one came behind 0xFF, and goes so.
        let is_other = matches!(self, Self::Unknown { number, .. } if frame_type(*number).is_some());
        let plain = u8::try_from(self.number()).ok().filter(|number| *number != EXTENSION && !is_other);
        let begin = out.len();
        out.put_bytes(0, SHORTEST_LEN);
        if plain.is_none() {
            put_varint(out, self.number());
        }
        let flags = self.encode_body(out);
        let body_len = out.len() - begin - SHORTEST_LEN;
        // The body stands where it belongs unless its length needs more than one octet.
        let gap = header_len(body_len) - SHORTEST_LEN;
        if gap > 0 {
            out.put_bytes(0, gap);
            let body = begin + SHORTEST_LEN..begin + SHORTEST_LEN + body_len;
            out.copy_within(body, begin + SHORTEST_LEN + gap);
        }
        let mut header = out.get_mut(begin..begin + SHORTEST_LEN + gap).unwrap_or_default();
        header.put_u8(plain.unwrap_or(EXTENSION));
        header.put_u8(flags);
        put_varint(&mut header, body_len as u64);
    }

    /// Writes the body and says which flags belong to it.
    //= SMRP-F9
    #[allow(clippy::too_many_lines, reason = "one arm for each type, in the order of the registry")]
    fn encode_body(&self, out: &mut BytesMut) -> u8 {
        match self {
            Self::Padding { len } => out.put_bytes(0, *len),
            Self::Ping { ack, data } => {
                out.put_u64(*data);
                return flag(*ack, 0x01);
            }
            Self::Ack(ack) => {
                let head = [ack.path, ack.largest, ack.delay, ack.ranges.len() as u64, ack.first];
                head.iter().for_each(|value| put_varint(out, *value));
                for (gap, len) in &ack.ranges {
                    put_varint(out, *gap);
                    put_varint(out, *len);
                }
                ack.ecn_ce.iter().for_each(|ce| put_varint(out, *ce));
                return flag(ack.ecn_ce.is_some(), 0x01);
            }
            Self::Handshake { offset, data } => {
                put_varint(out, *offset);
                out.put_slice(data);
            }
            Self::Hello(parameters) | Self::Settings(parameters) => put_parameters(out, parameters),
            Self::Auth { method, parameters } => {
                out.put_u8(*method);
                put_parameters(out, parameters);
            }
            Self::AuthResult { code, parameters } => {
                put_varint(out, code.number());
                put_parameters(out, parameters);
            }
            Self::GoAway { is_final, bidi, uni, drain_ms, code, redirect } => {
                [*bidi, *uni, *drain_ms, code.number()].iter().for_each(|value| put_varint(out, *value));
                out.put_slice(redirect);
                return flag(*is_final, 0x01);
            }
            Self::Close { code, frame_type, reason } => {
                put_varint(out, code.number());
                put_varint(out, *frame_type);
                out.put_slice(reason);
            }
            Self::Ticket { lifetime_s, offline_ms, handle } => {
                put_varint(out, *lifetime_s);
                put_varint(out, *offline_ms);
                out.put_slice(handle);
            }
            Self::Reattach { epoch, received, handle } => {
                put_varint(out, *epoch);
                put_varint(out, *received);
                out.put_slice(handle);
            }
            Self::ReattachResult { code, epoch, received } => {
                [code.number(), *epoch, *received].iter().for_each(|value| put_varint(out, *value));
            }
            Self::SessionAck { received: value }
            | Self::RetireCid { seq: value }
            | Self::MaxData { octets: value }
            | Self::Timestamp { sender_us: value } => put_varint(out, *value),
            Self::NewCid { seq, retire_prior, cid, reset_token } => {
                put_varint(out, *seq);
                put_varint(out, *retire_prior);
                out.put_u8(u8::try_from(cid.len()).unwrap_or(u8::MAX));
                out.put_slice(cid);
                out.put_slice(reset_token);
            }
            Self::Open(open) => {
                let flags = open.encode_head(out);
                out.put_slice(&open.data);
                return flags;
            }
            Self::Data { stream, offset, fin, data } => {
                put_varint(out, stream.number());
                offset.iter().for_each(|offset| put_varint(out, *offset));
                out.put_slice(data);
                return flag(*fin, 0x01) | flag(offset.is_some(), 0x02);
            }
            Self::Reset { stream, code, final_len, reliable_len } => {
                [stream.number(), code.number(), *final_len, *reliable_len]
                    .iter()
                    .for_each(|value| put_varint(out, *value));
            }
            Self::Stop { stream, code } => {
                put_varint(out, stream.number());
                put_varint(out, code.number());
            }
            Self::MaxStream { stream, octets, messages } => {
                put_varint(out, stream.number());
                put_varint(out, *octets);
                messages.iter().for_each(|messages| put_varint(out, *messages));
                return flag(messages.is_some(), 0x01);
            }
            Self::MaxStreams { class, count } => {
                out.put_u8(*class);
                put_varint(out, *count);
            }
            Self::Blocked { scope, stream, at } => {
                out.put_u8(*scope);
                put_varint(out, stream.number());
                put_varint(out, *at);
            }
            Self::Msg(msg) => {
                put_varint(out, msg.stream.number());
                [msg.id, msg.offset, msg.ttl_ms].iter().flatten().for_each(|value| put_varint(out, *value));
                out.put_slice(&msg.data);
                return flag(msg.first, 0x01)
                    | flag(msg.last, 0x02)
                    | flag(msg.offset.is_some(), 0x04)
                    | flag(msg.ttl_ms.is_some(), 0x08)
                    | flag(msg.id.is_some(), 0x10);
            }
            Self::MsgSkip { stream, first, count } => {
                [stream.number(), *first, *count].iter().for_each(|value| put_varint(out, *value));
            }
            Self::Dgram { flow, ttl_ms, data } => {
                put_varint(out, *flow);
                ttl_ms.iter().for_each(|ttl| put_varint(out, *ttl));
                out.put_slice(data);
                return flag(ttl_ms.is_some(), 0x01);
            }
            Self::Meta { stream, is_trailer, parameters } => {
                put_varint(out, stream.number());
                put_parameters(out, parameters);
                return flag(*is_trailer, 0x01);
            }
            Self::Priority { stream, priority } => {
                put_varint(out, stream.number());
                out.put_u8(*priority);
            }
            Self::PathChallenge { data } | Self::PathResponse { data } => out.put_u64(*data),
            Self::PathStatus { path, state } => {
                put_varint(out, *path);
                out.put_u8(*state);
            }
            Self::AckFreq { threshold, max_delay_us, reorder } => {
                [*threshold, *max_delay_us, *reorder].iter().for_each(|value| put_varint(out, *value));
            }
            Self::NewToken { token: octets } | Self::LinkState { lsa: octets } => out.put_slice(octets),
            Self::Unknown { flags, body, .. } => {
                out.put_slice(body);
                return *flags;
            }
            later => return later.encode_later(out),
        }
        0
    }

    /// Frames of services that come later.
    fn encode_later(&self, out: &mut BytesMut) -> u8 {
        match self {
            Self::NbrHello { node, domain, area, cost, parameters } => {
                out.put_slice(node);
                out.put_u32(*domain);
                out.put_u16(*area);
                out.put_u16(*cost);
                put_parameters(out, parameters);
            }
            Self::LsDigest { entries } => entries.iter().for_each(|(origin, seq)| {
                out.put_slice(origin);
                put_varint(out, *seq);
            }),
            Self::LsRequest { origins } => origins.iter().for_each(|origin| out.put_slice(origin)),
            Self::RouteAdvertise { prefix_len, prefix, path, parameters } => {
                out.put_u8(*prefix_len);
                out.put_u64(*prefix);
                out.put_u8(u8::try_from(path.len()).unwrap_or(u8::MAX));
                path.iter().for_each(|domain| out.put_u32(*domain));
                put_parameters(out, parameters);
            }
            Self::RouteWithdraw { prefix_len, prefix } => {
                out.put_u8(*prefix_len);
                out.put_u64(*prefix);
            }
            Self::LabelBind { is_request, forward, reverse, lifetime_s, quota, fec } => {
                out.put_u32(*forward);
                out.put_u32(*reverse);
                put_varint(out, *lifetime_s);
                put_varint(out, *quota);
                out.put_slice(fec);
                return flag(*is_request, 0x01);
            }
            Self::LabelRelease { label: word, code } | Self::CircDestroy { circuit: word, code } => {
                out.put_u32(*word);
                put_varint(out, code.number());
            }
            Self::Forward { label, ttl, class, deadline_ms, payload } => {
                out.put_u32(*label);
                out.put_u8(*ttl);
                out.put_u8(*class);
                out.put_u16(*deadline_ms);
                out.put_slice(payload);
            }
            Self::ForwardSr { ttl, class, index, hops, payload } => {
                out.put_slice(&[*ttl, *class, u8::try_from(hops.len()).unwrap_or(u8::MAX), *index]);
                for (label, mac) in hops {
                    out.put_u32(*label);
                    out.put_slice(mac);
                }
                out.put_slice(payload);
            }
            Self::RouteError { code, label, mtu, retry_ms } => {
                put_varint(out, code.number());
                out.put_u32(*label);
                put_varint(out, *mtu);
                put_varint(out, *retry_ms);
            }
            Self::Subscribe(subscribe) => {
                put_varint(out, subscribe.sub);
                out.put_slice(&[subscribe.urgency, subscribe.mode]);
                put_varint(out, subscribe.octets);
                put_varint(out, subscribe.messages);
                put_counted(out, &subscribe.pattern);
                put_parameters(out, &subscribe.parameters);
            }
            Self::SubResult { sub, code, parameters } => {
                put_varint(out, *sub);
                put_varint(out, code.number());
                put_parameters(out, parameters);
            }
            Self::Unsubscribe { sub, code } => {
                put_varint(out, *sub);
                put_varint(out, code.number());
            }
            Self::Publish { alias, group, seq, ttl_ms, payload } => {
                [*alias, *group, *seq, *ttl_ms].iter().for_each(|value| put_varint(out, *value));
                out.put_slice(payload);
            }
            Self::TopicAlias { alias: value, topic: octets } | Self::NameQuery { query: value, name: octets } => {
                put_varint(out, *value);
                out.put_slice(octets);
            }
            Self::McastJoin { prune, group, label } => {
                out.put_slice(group);
                out.put_u32(*label);
                return flag(*prune, 0x01);
            }
            Self::NameRegister { name, eid, lease_s, signature } => {
                put_counted(out, name);
                out.put_slice(eid);
                put_varint(out, *lease_s);
                out.put_slice(signature);
            }
            Self::NameReply { query, code, ttl_s, places } => {
                [*query, code.number(), *ttl_s].iter().for_each(|value| put_varint(out, *value));
                for (eid, locator) in places {
                    out.put_slice(eid);
                    out.put_u64(*locator);
                }
            }
            Self::CircCreate { circuit, handshake: octets }
            | Self::CircCreated { circuit, handshake: octets }
            | Self::Cell { circuit, cell: octets } => {
                out.put_u32(*circuit);
                out.put_slice(octets);
            }
            _ => {}
        }
        0
    }
}

impl Open {
    /// Writes the body up to the data, and says which flags belong to it.
    pub(crate) fn encode_head(&self, out: &mut BytesMut) -> u8 {
        put_varint(out, self.stream.number());
        out.put_u8(self.kind_and_priority);
        self.credit.iter().for_each(|credit| put_varint(out, *credit));
        self.ttl_ms.iter().for_each(|ttl| put_varint(out, *ttl));
        if let Some(metadata) = &self.metadata {
            put_varint(out, metadata.octets().len() as u64);
            put_parameters(out, metadata);
        }
        flag(self.fin, 0x01)
            | flag(self.metadata.is_some(), 0x02)
            | flag(self.credit.is_some(), 0x04)
            | flag(self.ttl_ms.is_some(), 0x08)
    }
}

const fn flag(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

fn put_parameters(out: &mut BytesMut, parameters: &Parameters) {
    out.put_slice(parameters.octets());
}

fn put_counted(out: &mut BytesMut, octets: &[u8]) {
    put_varint(out, octets.len() as u64);
    out.put_slice(octets);
}
