//! What each end declares in HELLO: section 7 of the specification.

use crate::wire::{Parameters, ParametersBuilder, VARINT_MAX, number_of, parameter};
use bytes::Bytes;
use core::time::Duration;
use thiserror::Error;

/// What an end declares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Longest body of a frame that it takes. 16,384 to 2^24 - 1.
    pub max_frame: u64,
    /// Octets of the session at its beginning. 65,536 and more.
    pub init_max_data: u64,
    /// Octets of each stream at its beginning. 16,384 and more.
    pub init_max_stream: u64,
    /// Streams both ways that the peer may open. 8 and more.
    pub max_streams_bidi: u64,
    /// Streams one way that the peer may open. 8 and more.
    pub max_streams_uni: u64,
    /// Longest silence in milliseconds, 0 for any. 1,000 and more.
    pub idle_ms: u64,
    /// Longest datagram, 0 for none.
    pub max_datagram: u64,
    /// Longest metadata of a stream and direction, head and trailer each. At most 16,384.
    pub max_meta: u64,
    /// How long it keeps a session that lost its link, in milliseconds, 0 for not at all. At most a day.
    pub resumable_ms: u64,
    /// Shortest time between two pings that it puts up with, in milliseconds. 10 to 60,000.
    pub min_ping_ms: u64,
    /// Messages of each channel at its beginning. 16 and more.
    pub init_max_msgs: u64,
    /// Longest message or request. At most 2^32.
    pub max_message: u64,
    /// Octets of session frames after which it expects a SESSION_ACK. 16,384 to 2^24.
    pub ack_every: u64,
    /// Its software, where it says so. 64 octets at most.
    pub agent: Option<String>,
}

/// A setting that cannot be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsError {
    /// Out of its range.
    #[error("setting {name} is {value}, and must be {min} to {max}")]
    Range {
        /// Which one.
        name: &'static str,
        /// Its value.
        value: u64,
        /// Its least.
        min: u64,
        /// Its most.
        max: u64,
    },
    /// Not a number, not text, or too long.
    #[error("setting {0} cannot be read")]
    Malformed(&'static str),
    /// Not to be changed, or lowered.
    #[error("setting {0} cannot be changed so")]
    NotRaised(&'static str),
}

struct Entry {
    id: u64,
    name: &'static str,
    min: u64,
    max: u64,
    field: fn(&mut Settings) -> &mut u64,
    /// SETTINGS may raise it.
    grows: bool,
}

const DAY_MS: u64 = 86_400_000;

macro_rules! entries {
    ($($id:ident $field:ident $min:expr, $max:expr, $grows:literal;)*) => {
        const ENTRIES: &[Entry] = &[$(Entry {
            id: parameter::$id,
            name: stringify!($field),
            min: $min,
            max: $max,
            field: |settings| &mut settings.$field,
            grows: $grows,
        }),*];
    };
}

//= SMRP-S4
entries! {
    MAX_FRAME max_frame 16_384, (1 << 24) - 1, true;
    INIT_MAX_DATA init_max_data 65_536, VARINT_MAX, false;
    INIT_MAX_STREAM init_max_stream 16_384, VARINT_MAX, true;
    MAX_STREAMS_BIDI max_streams_bidi 8, 1 << 60, false;
    MAX_STREAMS_UNI max_streams_uni 8, 1 << 60, false;
    IDLE_MS idle_ms 0, 1 << 32, false;
    MAX_DATAGRAM max_datagram 0, (1 << 24) - 1, true;
    MAX_META max_meta 0, 16_384, true;
    RESUMABLE_MS resumable_ms 0, DAY_MS, false;
    MIN_PING_MS min_ping_ms 10, 60_000, false;
    INIT_MAX_MSGS init_max_msgs 16, VARINT_MAX, false;
    MAX_MESSAGE max_message 1, 1 << 32, true;
    ACK_EVERY ack_every 16_384, 1 << 24, false;
}

const AGENT_LEN_MAX: usize = 64;

impl Default for Settings {
    /// What is declared where nothing else is set.
    fn default() -> Self {
        Self {
            max_frame: 65_536,
            init_max_data: 1 << 20,
            init_max_stream: 1 << 18,
            max_streams_bidi: 256,
            max_streams_uni: 256,
            idle_ms: 120_000,
            max_datagram: 16_384,
            max_meta: 4_096,
            resumable_ms: 60_000,
            min_ping_ms: 100,
            init_max_msgs: 1_024,
            max_message: 1 << 20,
            ack_every: 1 << 18,
            agent: None,
        }
    }
}

impl Settings {
    /// What holds before a HELLO came, and for what a HELLO does not say.
    //= SMRP-S2
    #[must_use]
    pub fn floor() -> Self {
        Self {
            max_frame: 16_384,
            init_max_data: 65_536,
            init_max_stream: 16_384,
            max_streams_bidi: 8,
            max_streams_uni: 8,
            idle_ms: 120_000,
            max_datagram: 0,
            max_meta: 4_096,
            resumable_ms: 0,
            min_ping_ms: 100,
            init_max_msgs: 16,
            max_message: 1 << 20,
            ack_every: 1 << 18,
            agent: None,
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`SettingsError`] for the first value that is out of its range.
    //= SMRP-S3
    pub fn check(&self) -> Result<(), SettingsError> {
        let mut copy = self.clone();
        for entry in ENTRIES {
            let value = *(entry.field)(&mut copy);
            entry.check(value)?;
        }
        if self.max_datagram > self.max_frame {
            let (value, max) = (self.max_datagram, self.max_frame);
            return Err(SettingsError::Range { name: "max_datagram", value, min: 0, max });
        }
        match &self.agent {
            Some(agent) if agent.len() > AGENT_LEN_MAX => Err(SettingsError::Malformed("agent")),
            _ => Ok(()),
        }
    }

    /// As parameters of HELLO behind the hash of the prefaces.
    pub(crate) fn to_parameters(&self, preface_hash: &[u8; 32], is_reattaching: bool) -> Parameters {
        let (mut copy, mut floor) = (self.clone(), Self::floor());
        let mut list = ParametersBuilder::new().with(parameter::PREFACE_HASH, preface_hash);
        for entry in ENTRIES {
            let value = *(entry.field)(&mut copy);
            if value != *(entry.field)(&mut floor) {
                list = list.with_number(entry.id, value);
            }
        }
        if is_reattaching {
            list = list.with(parameter::REATTACHING, &[]);
        }
        //= SMRP-PR1
        if let Some(agent) = &self.agent {
            list = list.with(parameter::AGENT, agent.as_bytes());
        }
        list.build()
    }

    /// From the parameters of a HELLO.
    pub(crate) fn from_parameters(parameters: &Parameters) -> Result<Self, SettingsError> {
        let mut settings = Self::floor();
        for (id, value) in parameters.iter() {
            if let Some(entry) = ENTRIES.iter().find(|entry| entry.id == id) {
                let number = number_of(&value).ok_or(SettingsError::Malformed(entry.name))?;
                entry.check(number)?;
                *(entry.field)(&mut settings) = number;
            } else if id == parameter::AGENT {
                settings.agent = Some(agent(&value)?);
            }
        }
        settings.check()?;
        Ok(settings)
    }

    /// What a SETTINGS frame changes.
    //= SMRP-S5
    pub(crate) fn raise(&mut self, parameters: &Parameters) -> Result<(), SettingsError> {
        let mut raised = self.clone();
        for (id, value) in parameters.iter() {
            let Some(entry) = ENTRIES.iter().find(|entry| entry.id == id) else {
                match id {
                    parameter::PREFACE_HASH => return Err(SettingsError::NotRaised("preface_hash")),
                    parameter::REATTACHING => return Err(SettingsError::NotRaised("reattaching")),
                    parameter::AGENT => return Err(SettingsError::NotRaised("agent")),
                    _ => continue,
                }
            };
            let number = number_of(&value).ok_or(SettingsError::Malformed(entry.name))?;
            entry.check(number)?;
            let field = (entry.field)(&mut raised);
            if !entry.grows || number < *field {
                return Err(SettingsError::NotRaised(entry.name));
            }
            *field = number;
        }
        raised.check()?;
        *self = raised;
        Ok(())
    }

    /// The first setting that `later` has lower.
    //= SMRP-R13
    pub(crate) fn lowered_by(&self, later: &Self) -> Option<&'static str> {
        let (mut now, mut then) = (self.clone(), later.clone());
        let keeps = |entry: &&Entry| entry.grows || entry.id == parameter::ACK_EVERY;
        ENTRIES
            .iter()
            .filter(keeps)
            .find(|entry| *(entry.field)(&mut then) < *(entry.field)(&mut now))
            .map(|entry| entry.name)
    }

    /// The longest silence on a link between two ends; `None` for any.
    //= SMRP-S7
    pub(crate) fn idle_with(&self, other: &Self) -> Option<Duration> {
        let idle = [self.idle_ms, other.idle_ms].into_iter().filter(|ms| *ms > 0).min()?;
        Some(Duration::from_millis(idle.max(1_000)))
    }

    /// How long both keep a session that lost its link; `None` where one does not.
    pub(crate) fn resumable_with(&self, other: &Self) -> Option<Duration> {
        let ms = self.resumable_ms.min(other.resumable_ms);
        (ms > 0).then(|| Duration::from_millis(ms))
    }
}

impl Entry {
    fn check(&self, value: u64) -> Result<(), SettingsError> {
        let low = value < self.min || (self.id == parameter::IDLE_MS && value != 0 && value < 1_000);
        if low || value > self.max {
            return Err(SettingsError::Range { name: self.name, value, min: self.min, max: self.max });
        }
        Ok(())
    }
}

fn agent(value: &Bytes) -> Result<String, SettingsError> {
    let text = core::str::from_utf8(value).ok().filter(|text| text.len() <= AGENT_LEN_MAX);
    text.map(str::to_owned).ok_or(SettingsError::Malformed("agent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(list: ParametersBuilder) -> Result<Settings, SettingsError> {
        let mut settings = Settings::floor();
        settings.raise(&list.build()).map(|()| settings)
    }

    #[test]
    fn settings_are_read_as_they_were_declared() {
        //= SMRP-S2, SMRP-PR1
        let mut settings = Settings::default();
        let parameters = settings.to_parameters(&[9; 32], false);
        assert_eq!(Settings::from_parameters(&parameters).unwrap(), settings);
        assert_eq!(parameters.get(parameter::AGENT), None);
        settings.agent = Some("me".to_owned());
        assert_eq!(Settings::from_parameters(&settings.to_parameters(&[9; 32], false)).unwrap(), settings);
        let empty = ParametersBuilder::new().build();
        assert_eq!(Settings::from_parameters(&empty).unwrap(), Settings::floor());
    }

    #[test]
    fn each_range_holds_at_its_ends_and_not_past_them() {
        //= SMRP-S3, SMRP-S4
        Settings::floor().check().unwrap();
        for entry in ENTRIES {
            let ends = [(entry.min.wrapping_sub(1), entry.min > 0), (entry.max + 1, entry.max < VARINT_MAX)];
            for (value, _) in ends.into_iter().filter(|(_, exists)| *exists) {
                let list = ParametersBuilder::new().with_number(entry.id, value).build();
                assert!(Settings::from_parameters(&list).is_err(), "{} {value}", entry.name);
            }
            let list = ParametersBuilder::new().with_number(entry.id, entry.min).build();
            Settings::from_parameters(&list).unwrap();
        }
        let list = ParametersBuilder::new().with(parameter::MAX_FRAME, &[1, 2, 3]).build();
        assert_eq!(Settings::from_parameters(&list), Err(SettingsError::Malformed("max_frame")));
        let list = ParametersBuilder::new().with_number(parameter::IDLE_MS, 999).build();
        assert!(Settings::from_parameters(&list).is_err());
        let list = ParametersBuilder::new().with_number(parameter::MAX_DATAGRAM, 16_385).build();
        assert!(Settings::from_parameters(&list).is_err(), "longer than a frame");
    }

    #[test]
    fn settings_only_grow_and_only_some() {
        //= SMRP-S5
        assert_eq!(
            raised(ParametersBuilder::new().with_number(parameter::MAX_FRAME, 20_000)).unwrap().max_frame,
            20_000
        );
        let lower = raised(ParametersBuilder::new().with_number(parameter::MAX_META, 4_095));
        assert_eq!(lower, Err(SettingsError::NotRaised("max_meta")));
        let fixed = raised(ParametersBuilder::new().with_number(parameter::IDLE_MS, 500_000));
        assert_eq!(fixed, Err(SettingsError::NotRaised("idle_ms")));
        assert!(raised(ParametersBuilder::new().with(parameter::AGENT, b"x")).is_err());
        assert!(raised(ParametersBuilder::new().with_number(0x7FFE, 1)).is_ok(), "unknown and even");
    }

    #[test]
    fn the_lesser_idle_time_counts_and_zero_is_none() {
        //= SMRP-S7
        let with = |idle_ms| Settings { idle_ms, ..Settings::floor() };
        assert_eq!(with(5_000).idle_with(&with(3_000)), Some(Duration::from_secs(3)));
        assert_eq!(with(0).idle_with(&with(3_000)), Some(Duration::from_secs(3)));
        assert_eq!(with(0).idle_with(&with(0)), None);
    }
}
