//! Time and links: what drivers do with a session.

use super::end::{Half, security};
use super::events::told;
use super::peer::Link;
use super::run::{ROUNDS_MAX, Run};
use core::time::Duration;
use smrp::{Code, Event, Reattach, Role, SessionError};
use wirekit::Machine;

impl Run {
    pub(super) fn wait(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now + time;
        for _ in 0..ROUNDS_MAX {
            let halves = self.session.iter().chain(self.fresh.iter().map(|(half, _)| half));
            let due = halves.filter_map(|half| half.machine.poll_timeout()).map(|deadline| deadline.at).min();
            let Some(at) = due.filter(|at| *at <= until) else {
                self.now = until;
                return Ok(());
            };
            self.now = self.now.max(at);
            let now = self.now;
            let halves = self.session.iter_mut().chain(self.fresh.iter_mut().map(|(half, _)| half));
            halves.for_each(|half| half.machine.handle_timeout(now));
            self.drain()?;
        }
        Err("its deadlines never end".into())
    }

    /// The peer opens another link to the acceptor.
    pub(super) fn open_link(&mut self, rest: &[String]) -> Result<(), String> {
        let mut config = self.config.clone();
        if let Some(word) = rest.iter().find_map(|word| word.strip_prefix("security=")) {
            config.security = security(Some(word))?;
        }
        self.fresh_count += 1;
        let half = Half::new(Role::Acceptor, config, 100 + self.fresh_count, self.now);
        self.fresh = Some((half.map_err(|error| error.to_string())?, Link::default()));
        Ok(())
    }

    /// Everything that the end under test has to say or to tell.
    pub(super) fn drain(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            let is_fresh = self.drain_fresh()?;
            let Some(session) = &mut self.session else { return Ok(()) };
            session.feed(self.now);
            let out = if self.is_held { Vec::new() } else { session.transmit(self.now) };
            let event = session.machine.poll_event();
            if out.is_empty() && event.is_none() && !is_fresh {
                return Ok(());
            }
            for mut sent in self.peer.read(&out, &mut self.link)? {
                if self.fresh.is_some() {
                    sent.words.insert(0, "old".into());
                }
                self.sent.push_back(sent);
            }
            event.into_iter().for_each(|event| self.tell(&event));
        }
        Err("its output never ends".into())
    }

    pub(super) fn tell(&mut self, event: &Event) {
        if let Event::Ticket(ticket) = event {
            self.handles.push(ticket.handle.clone());
        }
        self.debug.push_str(&format!("{event:?} "));
        let told = told(event);
        self.debug.push_str(&told.says);
        self.events.push_back(told);
    }

    /// The same of the link that asks to become another one. True where anything happened.
    pub(super) fn drain_fresh(&mut self) -> Result<bool, String> {
        let Some((half, link)) = &mut self.fresh else { return Ok(false) };
        half.feed(self.now);
        let out = half.transmit(self.now);
        let event = half.machine.poll_event();
        let happened = !out.is_empty() || event.is_some();
        self.sent.extend(self.peer.read(&out, link)?);
        match event {
            Some(Event::Reattach(asked)) => self.reattach(&asked)?,
            Some(Event::Ended(SessionError::Superseded)) | None => {}
            Some(event) => {
                self.tell(&event);
                if matches!(event, Event::Ended(_)) {
                    self.fresh = None;
                }
            }
        }
        Ok(happened)
    }

    /// As drivers do it: the session of the ticket takes the link over, or it is refused.
    pub(super) fn reattach(&mut self, asked: &Reattach) -> Result<(), String> {
        let Some((mut fresh, mut link)) = self.fresh.take() else { return Ok(()) };
        let kept = self.session.as_mut().filter(|_| self.handles.contains(&asked.handle));
        let adopted =
            kept.map_or(Err(Code::RESUME_REFUSED), |kept| kept.machine.adopt(self.now, &mut fresh.machine, asked));
        match adopted {
            Ok(adoption) => {
                for mut sent in self.peer.read(&adoption.farewell, &mut self.link)? {
                    sent.words.insert(0, "old".into());
                    self.sent.push_back(sent);
                }
                core::mem::swap(&mut self.link, &mut link);
                if let Some(session) = &mut self.session {
                    session.inbox = fresh.inbox;
                }
            }
            Err(code) => {
                fresh.machine.refuse_reattach(self.now, code);
                self.fresh = Some((fresh, link));
            }
        }
        Ok(())
    }
}
