//! One message of the system, which can be several datagrams that it joined.

use std::net::{IpAddr, SocketAddr};

use wirekit::datagram::{DropReason, ReceiveBatch};

/// What came in one slot of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) source: SocketAddr,
    pub(crate) destination: Option<IpAddr>,
    /// Where in the room it begins.
    pub(crate) start: usize,
    /// What of it is there.
    pub(crate) len: usize,
    /// The length of each datagram; the last may fall short.
    pub(crate) datagram_len: usize,
    /// Whether its end was lost.
    pub(crate) is_truncated: bool,
}

impl Message {
    /// Gives its datagrams to the batch.
    pub(crate) fn take_apart(self, batch: &mut ReceiveBatch) {
        let mut at = 0usize;
        loop {
            let end = at.saturating_add(self.datagram_len).min(self.len);
            let is_last = end >= self.len || self.datagram_len == 0;
            if self.source.port() == 0 {
                // Nobody can be answered at port 0.
                batch.drop_one(DropReason::NotUnicast);
            } else if is_last && self.is_truncated {
                batch.drop_one(DropReason::Truncated);
            } else {
                let range = self.start.saturating_add(at)..self.start.saturating_add(end);
                batch.push(self.source, self.destination, range);
            }
            if is_last {
                break;
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(start: usize, len: usize, datagram_len: usize) -> Message {
        let source = SocketAddr::from(([10, 0, 0, 1], 7));
        Message { source, destination: Some([10, 0, 0, 2].into()), start, len, datagram_len, is_truncated: false }
    }

    #[test]
    fn what_was_joined_comes_apart() {
        let mut batch = ReceiveBatch::with_slots(2, 1000, 100);
        for (index, octet) in batch.room().iter_mut().enumerate() {
            *octet = u8::try_from(index / 100).unwrap();
        }
        message(1000, 250, 100).take_apart(&mut batch);
        let lens: Vec<_> = batch.datagrams().map(|came| (came.payload[0], came.payload.len())).collect();
        assert_eq!(lens, [(10, 100), (11, 100), (12, 50)]);
        message(0, 0, 0).take_apart(&mut batch);
        assert_eq!((batch.len(), batch.get(3).unwrap().payload.len()), (4, 0));
        message(0, 7, 0).take_apart(&mut batch);
        assert_eq!((batch.len(), batch.get(4).unwrap().payload.len()), (5, 0), "no length is no endless loop");
    }

    #[test]
    fn what_has_lost_its_end_and_what_has_no_answer_is_dropped() {
        let mut batch = ReceiveBatch::with_slots(1, 164, 100);
        Message { is_truncated: true, ..message(0, 164, 100) }.take_apart(&mut batch);
        message(0, 164, 164).take_apart(&mut batch);
        assert_eq!((batch.len(), batch.dropped().truncated_count), (1, 2));
        Message { source: SocketAddr::from(([10, 0, 0, 1], 0)), ..message(0, 1, 1) }.take_apart(&mut batch);
        Message { destination: Some([224, 0, 0, 1].into()), ..message(0, 1, 1) }.take_apart(&mut batch);
        assert_eq!((batch.len(), batch.dropped().not_unicast_count), (1, 2));
    }
}
