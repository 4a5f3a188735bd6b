//! The endpoint under test, as a case wants it.

use super::notation::Names;
use crate::case::Settings;
use crate::notation::NotationError;
use core::time::Duration;
use smp121::{Addressing, Config, Limits, Profile, Timing};

/// Who talks to whom: profile `ipv6` is `spec` over IPv6, `udp` is `spec` with addresses that count as zero.
pub(super) fn names(settings: &Settings) -> Names {
    let profile = settings.profile.as_deref();
    Names::new(profile == Some("ipv6"), profile != Some("udp"))
}

/// The configuration. Limits and times (in milliseconds) are set by their names.
pub(super) fn config(settings: &Settings) -> Result<Config, NotationError> {
    let profile = match settings.profile.as_deref() {
        None | Some("spec" | "ipv6" | "udp") => Profile::SPEC,
        Some("rdos") => Profile::RDOS,
        Some("busy") => Profile::SPEC.with_busy(true),
        Some(other) => return Err(NotationError::new(other, "no such profile")),
    };
    let addressing = if settings.profile.as_deref() == Some("udp") { Addressing::None } else { Addressing::Ip };
    let mut limits = Limits::default();
    let mut timing = Timing::default();
    let mut builder = Config::builder([42; 32]).with_profile(profile).with_addressing(addressing);
    for (name, value) in &settings.limits {
        let len = usize::try_from(*value).unwrap_or(usize::MAX);
        let count = u32::try_from(*value).unwrap_or(u32::MAX);
        let time = Duration::from_millis(*value);
        match name.as_str() {
            "peers_max" => limits.peers_max = len,
            "mailslots_per_peer_max" => limits.mailslots_per_peer_max = len,
            "mailslots_max" => limits.mailslots_max = len,
            "mailslot_queue_max" => limits.mailslot_queue_max = len,
            "peer_assembly_len_max" => limits.peer_assembly_len_max = len,
            "assembly_len_max" => limits.assembly_len_max = len,
            "gaps_max" => limits.gaps_max = len,
            "waiting_count_max" => limits.waiting_count_max = len,
            "waiting_len_max" => limits.waiting_len_max = len,
            "reply_len_max" => limits.reply_len_max = len,
            "replies_len_max" => limits.replies_len_max = len,
            "resets_per_second" => limits.resets_per_second = count,
            "name_requests_per_second" => limits.name_requests_per_second = count,
            "segment_len_max" => builder = builder.with_segment_len_max(len),
            "ack_delay" => timing.ack_delay = time,
            "resolve_timeout" => timing.resolve_timeout = time,
            "give_up_timeout" => timing.give_up_timeout = time,
            "reply_retention" => timing.reply_retention = time,
            "assembly_idle_timeout" => timing.assembly_idle_timeout = time,
            "reply_tries_max" => timing.reply_tries_max = count,
            _ => return Err(NotationError::new(name.as_str(), "no such limit")),
        }
    }
    builder
        .with_limits(limits)
        .with_timing(timing)
        .build()
        .map_err(|error| NotationError::new(error.field, error.reason))
}
