//! Replies: from the application until they are acknowledged, and what time does to both.

use super::{Entry, Inbound, Stage, WINDOW};
use crate::ReplyError;
use crate::machine::event::RequestId;
use crate::machine::link::{Link, Sender};
use crate::machine::num::{to_u64, to_usize};
use crate::machine::shared::Shared;
use crate::machine::transfer::{Acked, Transfer};
use crate::machine::window::place_near;
use crate::wire::Action;
use bytes::Bytes;
use wirekit::Instant;

impl Inbound {
    /// The application's answer.
    //= SMP121-R-B
    pub(in crate::machine) fn reply(
        &mut self,
        id: RequestId,
        reply: Bytes,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Result<(), ReplyError> {
        let entry = self.entries.get_mut(id.place).filter(|entry| entry.serial == id.serial).ok_or(ReplyError::Void)?;
        if !matches!(entry.stage, Stage::InService) {
            return Err(ReplyError::Void);
        }
        let mut max = link.message_len_max().min(shared.config.limits.reply_len_max);
        if link.profile.cuts_replies {
            let request_len_max = shared.mailslots.get_mut(self.mailslot).map_or(0, |mailslot| mailslot.len_max);
            max = max.min(to_usize(request_len_max));
        }
        if reply.len() > max {
            return Err(ReplyError::TooLarge { len: reply.len(), max });
        }
        link.replies_len += reply.len();
        shared.counters.replies_len += to_u64(reply.len());
        entry.stage = Stage::Replying(Transfer::new(reply, shared.now));
        entry.touched_at = shared.now;
        entry.timer_at = None;
        shared.counters.replies_count += 1;
        self.in_turn = None;
        self.queue(id.place, link);
        self.advance(link, shared);
        Ok(())
    }

    /// A response to a reply. `false` where it is to nothing that is open.
    pub(in crate::machine) fn on_response(
        &mut self,
        number: u32,
        action: Action,
        link: &mut Link,
        shared: &mut Shared,
    ) -> bool {
        let Some(next) = self.next else { return false };
        let at = place_near(number, next);
        let Some(entry) = self.entries.get_mut(at) else { return false };
        let Stage::Replying(transfer) = &mut entry.stage else { return false };
        entry.touched_at = shared.now;
        let is_over = match action {
            // Of an empty reply, 0 acknowledges the whole.
            //= SMP121-A8
            Action::Accepted { offset } if offset == transfer.total() && transfer.is_sent() => {
                link.finish(transfer, shared.now);
                true
            }
            Action::Accepted { offset } => {
                match link.on_ack(transfer, offset, shared.now) {
                    Acked::Advanced { .. } => {
                        entry.tries = 0;
                        entry.timer_at = None;
                        arm_reply(entry, link, shared);
                    }
                    Acked::Lost => {
                        shared.counters.fast_resent_count += 1;
                        link.on_asked(transfer);
                    }
                    Acked::Again | Acked::Stale => {}
                }
                self.queue(at, link);
                false
            }
            // The peer's caller has no room for it, and knows.
            //= SMP121-A20
            Action::TooLarge => true,
            Action::Busy | Action::Reset => return false,
        };
        if is_over {
            self.drop_entry(at, link, shared);
            if to_u64(self.acknowledged.len()) >= WINDOW {
                self.acknowledged.pop_front();
            }
            self.acknowledged.push_back(at);
            self.resend_before(at, link, shared);
        }
        true
    }

    /// The reply at a place arrived, so those in front of it that went earlier and are not acknowledged seem lost. They are
    /// not waited for: the deployed implementation can stop for good where it gets many replies behind one that is missing.
    //= SMP121-R-C
    pub(super) fn resend_before(&mut self, at: u64, link: &mut Link, shared: &mut Shared) {
        let tries_max = shared.config.timing.reply_tries_max;
        let mut lost = Vec::new();
        for (place, entry) in self.entries.iter_mut().take_while(|(place, _)| *place < at) {
            if let Stage::Replying(transfer) = &mut entry.stage
                && transfer.is_sent()
                && !transfer.wants_to_send()
                && entry.overtaken_count < tries_max
            {
                entry.overtaken_count += 1;
                link.congestion.on_loss(shared.now, transfer.sent_at());
                transfer.resend_edge();
                lost.push(place);
            }
        }
        for place in lost {
            shared.counters.fast_resent_count += 1;
            self.queue(place, link);
        }
    }

    pub(super) fn queue(&mut self, at: u64, link: &mut Link) {
        let mailslot = self.mailslot.number;
        if let Some(entry) = self.entries.get_mut(at)
            && let Stage::Replying(transfer) = &entry.stage
            && !entry.is_queued
            && transfer.wants_to_send()
        {
            entry.is_queued = true;
            link.sending.push_back(Sender::Reply { mailslot, place: at });
        }
    }

    /// The reply at a place, for sending.
    pub(in crate::machine) fn sending(&mut self, at: u64) -> Option<&mut Transfer> {
        match &mut self.entries.get_mut(at)?.stage {
            Stage::Replying(transfer) => Some(transfer),
            _ => None,
        }
    }

    /// A part of the reply went, or there was none to send. `true` where there is more.
    pub(in crate::machine) fn on_sent(&mut self, at: u64, link: &mut Link, shared: &Shared) -> bool {
        let Some(entry) = self.entries.get_mut(at) else { return false };
        let Stage::Replying(transfer) = &entry.stage else { return false };
        entry.is_queued = transfer.wants_to_send();
        let is_queued = entry.is_queued;
        if entry.timer_at.is_none() {
            arm_reply(entry, link, shared);
        }
        is_queued
    }

    /// Does what is due.
    //= SMP121-R-H, SMP121-A11
    pub(in crate::machine) fn handle_timeout(&mut self, link: &mut Link, shared: &mut Shared) {
        let now = shared.now;
        // While one is in service, or the next may not be offered yet, waiting is nothing strange.
        let next = self.next.and_then(|next| self.entries.get(next));
        let waits_for_us = self.in_turn.is_some() || next.is_some_and(|entry| matches!(entry.stage, Stage::Waiting(_)));
        let due: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.timer_at.is_some_and(|at| at <= now))
            .map(|(place, _)| place)
            .collect();
        for at in due {
            let Some(entry) = self.entries.get_mut(at) else { continue };
            entry.timer_at = None;
            let is_over = match &mut entry.stage {
                Stage::Assembling(_) => true,
                // One in front of it never came.
                Stage::Waiting(_) if !waits_for_us => true,
                Stage::Waiting(_) => {
                    entry.timer_at = Some(now + shared.config.timing.assembly_idle_timeout);
                    false
                }
                Stage::Replying(transfer) if transfer.probes_left().is_some() && link.probes(transfer) => {
                    link.send_probe(transfer, now);
                    shared.counters.probes_count += 1;
                    arm_reply(entry, link, shared);
                    self.queue(at, link);
                    continue;
                }
                Stage::Replying(transfer) => {
                    link.on_timeout(transfer, now);
                    if entry.tries < shared.config.timing.reply_tries_max {
                        entry.tries += 1;
                        shared.counters.timeouts_count += 1;
                        if !transfer.wants_to_send() {
                            transfer.resend_edge();
                        }
                        self.queue(at, link);
                        continue;
                    }
                    transfer.park();
                    let retention = shared.config.timing.reply_retention.max(link.profile.reply_retention_min);
                    let keep_until = entry.touched_at + retention;
                    if keep_until > now {
                        entry.timer_at = Some(keep_until);
                    }
                    keep_until <= now
                }
                _ => false,
            };
            if is_over {
                self.drop_entry(at, link, shared);
            }
        }
    }

    /// True where something is in flight that nothing would ever send again.
    pub(in crate::machine) fn has_forgotten(&self) -> bool {
        self.entries.iter().any(|(_, entry)| {
            matches!(&entry.stage, Stage::Replying(transfer) if transfer.flight_len() > 0) && entry.timer_at.is_none()
        })
    }

    pub(in crate::machine) fn flight_len(&self) -> usize {
        let replies = self.entries.iter().map(|(_, entry)| match &entry.stage {
            Stage::Replying(transfer) => transfer.flight_len(),
            _ => 0,
        });
        replies.sum()
    }

    /// When something is due after `now`.
    pub(in crate::machine) fn next_timer(&self, now: Instant) -> Option<Instant> {
        self.entries.iter().filter_map(|(_, entry)| entry.timer_at).filter(|at| *at > now).min()
    }
}

/// Sets the timer of a reply, later where only its delayed acknowledgement is missing.
fn arm_reply(entry: &mut Entry, link: &mut Link, shared: &Shared) {
    let Stage::Replying(transfer) = &entry.stage else { return };
    let rto = link.rtt.rto(&link.profile, 0);
    // The last acknowledgement of a short reply waits on purpose; of a long one it does not.
    let is_prompt = !transfer.is_sent() || link.is_acknowledged_at_once(transfer.total());
    let rto = if transfer.is_sent() { rto.max(shared.config.timing.reply_rto_min) } else { rto };
    let rto = rto.saturating_mul(1 << entry.tries.min(16));
    let timer_at = shared.now + if is_prompt { link.wait(transfer, rto) } else { rto };
    entry.timer_at = Some(timer_at);
    link.arm(timer_at);
}
