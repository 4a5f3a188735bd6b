//! Sessions of SMRP in captures: each direction of a TCP connection whose first octets are those of a preface.

use super::capture::CapturedPacket;
use super::packet::Unreadable;
use super::tcp::{TcpDirection, TcpFound, TcpLoss, TcpStreams};
use std::collections::HashMap;

pub use smrp::inspect::{
    Broken, BrokenKind, InspectedField, InspectedFrame, InspectedParameter, Inspector, Item, Value,
};

/// What one packet of a capture brings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionFound {
    /// What became whole with it, in one direction.
    Items(TcpDirection, Vec<Item>),
    /// A direction cannot be followed any further.
    Lost(TcpDirection, TcpLoss),
    /// Nothing that is of a session, or nothing whole.
    Nothing,
    /// It cannot be read.
    Unreadable(Unreadable),
}

/// Follows the sessions of a capture. Holds what [`TcpStreams`] holds, and of each direction one frame that is not whole.
#[derive(Debug)]
pub struct Sessions {
    streams: TcpStreams,
    /// Of asked-for ports all is looked at, of others what begins as a session does.
    is_asked: bool,
    directions: HashMap<TcpDirection, Option<Inspector>>,
    count: usize,
}

impl Sessions {
    /// The sessions on these ports, and what is there in place of one; where there are none, those on all ports.
    #[must_use]
    pub fn on_ports(ports: &[u16]) -> Self {
        Self { streams: TcpStreams::of_ports(ports), is_asked: !ports.is_empty(), directions: HashMap::new(), count: 0 }
    }

    /// What this packet brings.
    pub fn find(&mut self, packet: &CapturedPacket<'_>) -> SessionFound {
        let (direction, pieces) = match self.streams.find(packet) {
            TcpFound::Octets(direction, pieces) => (direction, pieces),
            TcpFound::Lost(direction, loss) if self.is_asked || self.is_session(&direction) => {
                return SessionFound::Lost(direction, loss);
            }
            TcpFound::Unreadable(why) => return SessionFound::Unreadable(why),
            _ => return SessionFound::Nothing,
        };
        let is_asked = self.is_asked;
        // Another connection took the place of the one before.
        if let Some(number) = direction.number.checked_sub(1) {
            self.directions.remove(&TcpDirection { number, ..direction });
        }
        let slot = self.directions.entry(direction).or_insert_with(|| Some(Inspector::new()));
        let Some(inspector) = slot else { return SessionFound::Nothing };
        pieces.iter().for_each(|piece| inspector.feed(piece));
        let items: Vec<Item> = core::iter::from_fn(|| inspector.next_item()).collect();
        if !is_asked && matches!(items.first(), Some(Item::Broken(broken)) if broken.offset == 0) {
            *slot = None;
            return SessionFound::Nothing;
        }
        self.count += items.iter().filter(|item| matches!(item, Item::Preface { .. })).count();
        if items.is_empty() { SessionFound::Nothing } else { SessionFound::Items(direction, items) }
    }

    fn is_session(&self, direction: &TcpDirection) -> bool {
        matches!(self.directions.get(direction), Some(Some(inspector)) if inspector.offset() > 0)
    }

    /// What is not whole at the end of the capture: octets that began something, or that others should have come in front of.
    #[must_use]
    pub fn unfinished(&self) -> Vec<(TcpDirection, Unfinished)> {
        let begun = self.directions.iter().filter_map(|(direction, inspector)| {
            let inspector = inspector.as_ref().filter(|inspector| inspector.left_len() > 0)?;
            let (left_len, missing_len) = (inspector.left_len(), inspector.missing_len());
            Some((*direction, Unfinished::Begun { left_len, missing_len }))
        });
        let lost = self.streams.unfinished().into_iter();
        let lost = lost.filter(|(direction, _)| self.is_asked || self.is_session(direction));
        let mut all: Vec<(TcpDirection, Unfinished)> =
            begun.chain(lost.map(|(direction, loss)| (direction, Unfinished::Lost(loss)))).collect();
        all.sort_unstable_by_key(|(direction, _)| *direction);
        all
    }

    /// Directions of sessions so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

/// How a direction ends that does not end with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfinished {
    /// Inside something.
    Begun {
        /// Octets of it that are there.
        left_len: usize,
        /// The least number of octets that could finish it.
        missing_len: usize,
    },
    /// Octets of it are missing.
    Lost(TcpLoss),
}
