//! WRP messages and streams over them, in memory, on one thread; links over a WebSocket.

mod links;
pub(crate) mod memory;
mod messages;
mod reference;
mod streams;

use crate::args::Settings;
use crate::figure::Figure;
use crate::machine::Noise;

/// The group.
pub(crate) fn figures(settings: &Settings, noise: &mut Noise) -> anyhow::Result<Vec<Figure>> {
    let runtime = crate::net::runtime()?;
    let plans = messages::plans()?.into_iter().chain(streams::plans()?).chain(links::plans(&runtime));
    let wanted = plans.filter(|plan| settings.wants(&plan.name));
    let mut figures = wanted.map(|plan| plan.measure(settings, noise)).collect::<anyhow::Result<Vec<_>>>()?;
    if settings.wants("size of text") {
        figures.extend(streams::sizes()?);
    }
    Ok(figures)
}
