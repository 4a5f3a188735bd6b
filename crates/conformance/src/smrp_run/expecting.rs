//! Steps that expect something.

use super::frames::{expected, matches};
use super::peer::{Peer, Sent};
use super::run::Run;

impl Run {
    pub(super) fn take_sent(&mut self, words: &[String]) -> Result<Sent, String> {
        let (old, words) = match words.split_first() {
            Some((first, rest)) if first == "old" => (true, rest),
            _ => (false, words),
        };
        let mut due = expected(words, &self.peer.known).map_err(|error| format!("the case is wrong: {error}"))?;
        if old {
            due.insert(0, "old".into());
        }
        match self.sent.pop_front() {
            Some(sent) if sent.words.first() == due.first() && matches(&due, &sent.words) => Ok(sent),
            sent => {
                let got = sent.map_or_else(|| "nothing".into(), |sent| format!("`{}`", sent.words.join(" ")));
                Err(format!("sent: expected `{}`, got {got}", due.join(" ")))
            }
        }
    }

    pub(super) fn event(&mut self, words: &[String]) -> Result<(), String> {
        let says = words.iter().find_map(|word| word.strip_prefix("says=")).map(|text| text.trim_matches('\''));
        let due: Vec<String> = words.iter().filter(|word| !word.starts_with("says=")).cloned().collect();
        match self.events.pop_front() {
            Some(told)
                if told.words.first() == due.first()
                    && matches(&due, &told.words)
                    && says.is_none_or(|text| told.says.contains(text)) =>
            {
                Ok(())
            }
            told => {
                let got =
                    told.map_or_else(|| "nothing".into(), |told| format!("`{}` {}", told.words.join(" "), told.says));
                Err(format!("event: expected `{}`, got {got}", words.join(" ")))
            }
        }
    }

    /// CLOSE as the last thing that went out, and the end.
    pub(super) fn closed(&mut self, words: &[String]) -> Result<(), String> {
        let code = words.first().ok_or("with which code?")?;
        let frame = words.get(1).map_or("*", String::as_str);
        let due = ["CLOSE".to_owned(), format!("code={code}"), format!("frame_type={frame}"), "...".into()];
        self.take_sent(&due)?;
        if let Some(sent) = self.sent.front() {
            return Err(format!("behind CLOSE `{}` was sent", sent.words.join(" ")));
        }
        match self.events.pop_front() {
            Some(told) if told.words.first().is_some_and(|word| word == "ended") => Ok(()),
            told => Err(format!("event: expected the end, got {told:?}")),
        }
    }

    /// Steps that change nothing.
    pub(super) fn look(&mut self, verb: &str, rest: &[String]) -> Result<(), String> {
        let same = |what: &str, got: String, expected: Option<&String>| match expected {
            Some(expected) if *expected == got => Ok(()),
            expected => Err(format!("{what}: expected {expected:?}, got {got}")),
        };
        match verb {
            "silent" => match (self.sent.front(), self.events.front()) {
                (None, None) => Ok(()),
                (sent, event) => Err(format!("expected silence, got {:?}, event {:?}", sent, event)),
            },
            "streams" => same("streams", self.half()?.machine.stream_count().to_string(), rest.first()),
            "counted" => {
                let name = rest.first().ok_or("what?")?;
                let got = self.figure(name)?;
                same(name, got.to_string(), rest.get(1))
            }
            "reading" | "not-reading" => {
                let is_reading = self.half()?.machine.wants_octets();
                if is_reading == (verb == "reading") { Ok(()) } else { Err(format!("it is not {verb}")) }
            }
            "hidden" => {
                let secret = rest.first().map(|word| word.trim_matches('\'').to_owned()).ok_or("what?")?;
                let config = format!("{:?}", self.config);
                let machine = format!("{config} {:?}", self.half()?.machine);
                let is_shown = machine.contains(&secret) || self.debug.contains(&secret);
                if is_shown { Err(format!("{secret} is shown")) } else { Ok(()) }
            }
            "cannot-start" => match (self.refusal.take(), rest.first()) {
                (Some(got), Some(expected)) if got == *expected => Ok(()),
                (got, expected) => Err(format!("refusal: expected {expected:?}, got {got:?}")),
            },
            other => Err(format!("the case is wrong: no verb {other}")),
        }
    }

    pub(super) fn figure(&mut self, name: &str) -> Result<u64, String> {
        let half = self.half()?;
        let stats = half.machine.stats();
        Ok(match name {
            "frames_skipped" => stats.frames_skipped,
            "frames_late" => stats.frames_late,
            "streams_refused" => stats.streams_refused,
            "datagrams_expired" => stats.datagrams_expired,
            "datagrams_displaced" => stats.datagrams_displaced,
            "datagrams_lost" => stats.datagrams_lost,
            "datagrams_forbidden" => stats.datagrams_forbidden,
            "messages_expired" => stats.messages_expired,
            "messages_skipped" => stats.messages_skipped,
            "messages_refused" => stats.messages_refused,
            "data_dropped_len" => stats.data_dropped_len,
            "reattached" => stats.reattached,
            "ledger_charged" => stats.ledger_charged,
            "ledger_pauses" => stats.ledger_pauses,
            "credit_left" => stats.credit_left,
            "untaken_len" => stats.untaken_len,
            "incomplete_len" => stats.incomplete_len,
            "replay_len" => stats.replay_len,
            "budget_held" => half.machine.config().budget.as_ref().map_or(0, smrp::Budget::held),
            "wants_requests" => u64::from(half.machine.wants_requests()),
            other => return Err(format!("the case is wrong: no figure {other}")),
        })
    }

    pub(super) fn nothing_left(&mut self) -> Result<(), String> {
        if let Some(refusal) = &self.refusal {
            return Err(format!("the configuration was refused with {refusal}"));
        }
        if let Some(event) = self.events.pop_front() {
            return Err(format!("nothing more was expected, but the event `{}` came", event.words.join(" ")));
        }
        if let Some(sent) = self.sent.pop_front() {
            return Err(format!("nothing more was expected, but `{}` was sent", sent.words.join(" ")));
        }
        match Peer::left_len(&self.link) {
            0 => Ok(()),
            len => Err(format!("{len} octets were sent that are no whole frame")),
        }
    }
}
