//! Joins datagrams in a row into one handover to the system.

use std::io;
use std::sync::Mutex;

use wirekit::datagram::{Outgoing, SendError};

/// Octets that one handover has at most; what fits a UDP datagram, less some.
const JOINED_LEN_MAX: usize = 65_000;

/// The room that datagrams are joined in. Where two tasks send at the same time, one of them does not join.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    room: Mutex<Vec<u8>>,
}

impl Joiner {
    /// Sends `datagrams` in order: rows that can be joined by `send_joined`, others by `send_plain`, which says how many
    /// went.
    pub(super) fn send(
        &self,
        datagrams: &[Outgoing<'_>],
        segment_count_max: usize,
        send_plain: impl Fn(&[Outgoing<'_>]) -> Result<usize, SendError>,
        send_joined: impl Fn(&Outgoing<'_>, usize) -> io::Result<()>,
    ) -> Result<usize, SendError> {
        let mut sent = 0;
        while let Some(rest) = datagrams.get(sent..).filter(|rest| !rest.is_empty()) {
            let row = row(rest, segment_count_max);
            if row.len() > 1 {
                match self.send_row(row, &send_joined) {
                    Some(Ok(())) => {
                        sent += row.len();
                        continue;
                    }
                    Some(Err(_)) if sent > 0 => break,
                    Some(Err(error)) => return Err(error),
                    None => {}
                }
            }
            let plain = if row.len() > 1 { row } else { up_to_next_row(rest, segment_count_max) };
            match send_plain(plain) {
                Ok(count) => {
                    sent += count;
                    if count < plain.len() {
                        break;
                    }
                }
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// `None` where the row has to go one by one: because another task uses the room, or because something is wrong
    /// with one of them, which only the system can tell.
    fn send_row(
        &self,
        row: &[Outgoing<'_>],
        send_joined: &impl Fn(&Outgoing<'_>, usize) -> io::Result<()>,
    ) -> Option<Result<(), SendError>> {
        let first = row.first()?;
        let mut room = self.room.try_lock().ok()?;
        room.clear();
        row.iter().for_each(|datagram| room.extend_from_slice(datagram.payload));
        let joined = Outgoing { payload: &room, ..*first };
        match send_joined(&joined, first.payload.len()) {
            Ok(()) => Some(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(Err(SendError::WouldBlock)),
            Err(_) => None,
        }
    }
}

/// The datagrams at the front that can be joined: one destination, source and length, of which the last may fall short.
fn row<'a, 'b>(datagrams: &'a [Outgoing<'b>], count_max: usize) -> &'a [Outgoing<'b>] {
    let Some(first) = datagrams.first() else { return &[] };
    let segment_len = first.payload.len();
    // The class of service is not part of a joined handover.
    if segment_len == 0 || first.dscp != 0 {
        return datagrams.get(..1).unwrap_or_default();
    }
    let mut count = 0;
    let mut len = 0;
    for datagram in datagrams.iter().take(count_max) {
        let payload_len = datagram.payload.len();
        let fits = (datagram.destination, datagram.source, datagram.dscp)
            == (first.destination, first.source, first.dscp)
            && (1..=segment_len).contains(&payload_len)
            && len + payload_len <= JOINED_LEN_MAX;
        if !fits {
            break;
        }
        count += 1;
        len += payload_len;
        if payload_len < segment_len {
            break;
        }
    }
    datagrams.get(..count.max(1)).unwrap_or_default()
}

/// The datagrams in front of the next row of two or more.
fn up_to_next_row<'a, 'b>(datagrams: &'a [Outgoing<'b>], count_max: usize) -> &'a [Outgoing<'b>] {
    let next = (1..datagrams.len())
        .find(|at| datagrams.get(*at..).is_some_and(|rest| row(rest.get(..2).unwrap_or(rest), count_max).len() > 1));
    datagrams.get(..next.unwrap_or(datagrams.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn to(port: u16, payload: &[u8]) -> Outgoing<'_> {
        Outgoing::new(([10, 0, 0, 1], port).into(), payload)
    }

    #[derive(Debug, PartialEq)]
    enum Call {
        Plain(usize),
        Joined(Vec<u8>, usize),
    }

    fn calls(datagrams: &[Outgoing<'_>], refused: Option<io::ErrorKind>) -> (Result<usize, SendError>, Vec<Call>) {
        let calls = RefCell::new(Vec::new());
        let result = Joiner::default().send(
            datagrams,
            4,
            |plain| {
                calls.borrow_mut().push(Call::Plain(plain.len()));
                Ok(plain.len())
            },
            |row, segment_len| {
                calls.borrow_mut().push(Call::Joined(row.payload.to_vec(), segment_len));
                refused.map_or(Ok(()), |kind| Err(kind.into()))
            },
        );
        (result, calls.into_inner())
    }

    #[test]
    fn rows_are_joined_and_the_rest_goes_one_by_one_in_order() {
        let datagrams = [
            to(1, b"x"),
            to(2, b""),
            to(3, b"aa"),
            to(3, b"bb"),
            to(3, b"c"),
            to(3, b"dd"),
            Outgoing { dscp: 1, ..to(3, b"ee") },
        ];
        let (result, calls) = calls(&datagrams, None);
        assert_eq!(result.unwrap(), 7);
        assert_eq!(calls, [Call::Plain(2), Call::Joined(b"aabbc".to_vec(), 2), Call::Plain(2)]);
    }

    #[test]
    fn a_row_ends_at_the_count_and_the_length_that_one_handover_takes() {
        let (_, by_count) = calls(&[to(1, b"z"); 6], None);
        assert_eq!(by_count, [Call::Joined(b"zzzz".to_vec(), 1), Call::Joined(b"zz".to_vec(), 1)]);
        let half = vec![1; JOINED_LEN_MAX / 2];
        assert_eq!(row(&[to(1, &half); 3], 4).len(), 2);
        let more = vec![1; JOINED_LEN_MAX / 2 + 1];
        assert_eq!(row(&[to(1, &more); 3], 4).len(), 1);
    }

    #[test]
    fn a_row_that_fails_as_one_goes_one_by_one_and_a_full_buffer_waits() {
        let row = [to(1, b"z"); 3];
        let (result, refused) = calls(&row, Some(io::ErrorKind::InvalidInput));
        assert_eq!(result.unwrap(), 3);
        assert_eq!(refused.last(), Some(&Call::Plain(3)));
        let (result, _) = calls(&row, Some(io::ErrorKind::WouldBlock));
        assert!(matches!(result, Err(SendError::WouldBlock)));
        let (result, _) = calls(&[to(9, b"first"), row[0], row[1]], Some(io::ErrorKind::WouldBlock));
        assert_eq!(result.unwrap(), 1, "what went before counts");
    }
}
