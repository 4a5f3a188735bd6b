//! What is told in logs: once or so for a session, never for a message.

use crate::Event;

/// Tells of an event. No credential is in any of them: what a peer says of itself is told only where it is text made for it, and escaped.
//= SMRP-A8, SMRP-L5
pub(super) fn tell(span: &tracing::Span, event: &Event) {
    match event {
        Event::Established => tracing::info!(parent: span, "established"),
        Event::Authenticate(claim) => {
            tracing::debug!(parent: span, method = claim.method, "the peer says who it is")
        }
        Event::Authenticated { expires_after, .. } => tracing::debug!(parent: span, ?expires_after, "authenticated"),
        Event::AuthRefused(code) => tracing::warn!(parent: span, %code, "the peer does not believe who we are"),
        Event::Detached { keep } => {
            tracing::info!(parent: span, ?keep, "detached: the link is lost, the session is kept")
        }
        Event::Reattach(asked) => tracing::debug!(parent: span, epoch = asked.epoch, "another session wants this link"),
        Event::Reattached => tracing::info!(parent: span, "reattached"),
        Event::GoingAway { is_final, drain, code, redirect } => {
            let redirect = redirect.as_deref();
            tracing::info!(parent: span, is_final, ?drain, %code, redirect, "the peer is going away");
        }
        Event::Paused { pause } => tracing::warn!(parent: span, ?pause, "the peer wastes work: reading stops"),
        Event::Ended(error) => tracing::info!(parent: span, %error, "ended"),
        Event::Opened(opened) => tracing::trace!(parent: span, stream = ?opened.stream, kind = ?opened.kind, "opened"),
        Event::Readable(_)
        | Event::Writable(_)
        | Event::Metadata { .. }
        | Event::MayOpen(_)
        | Event::Datagrams
        | Event::Ticket(_) => {}
    }
}
