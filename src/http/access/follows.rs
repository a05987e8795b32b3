//! What a subscription may follow, and where it may have wakes written: nothing that whoever makes
//! or changes it may not read and write themselves.
//!
//! Decided once, for all that its pattern will ever stand for, so that deliveries need no token.
//! Invariant: a subscription that somebody made with a token shows no stream that the token could
//! not read then; where that cannot be said of a pattern, it is refused.

use super::{App, allow, known, may_not_follow};
use crate::{
    auth::{Access, Right},
    http::error::Fail,
    log::{Pattern, StreamPath},
    subscription::{Config, Delivery},
};

/// Whether a subscription may be made like this; the answer where it may not.
pub(in crate::http) async fn may_subscribe(
    app: &App,
    access: &Access,
    config: &Config,
) -> Result<(), Fail> {
    may_follow(app, access, config.streams.iter().map(|path| &**path)).await?;
    if let Some(pattern) = &config.pattern {
        all_of(app, access, pattern)?;
    }
    if let Delivery::PullWake { wake_stream } = &config.delivery {
        allow(app, access, Right::Write, &StreamPath::parse(wake_stream)?).await?;
    }
    Ok(())
}

/// Whether these streams may be followed by name. One that may not be read is answered as one that
/// is not there, whether it is or not.
pub(in crate::http) async fn may_follow(
    app: &App,
    access: &Access,
    paths: impl Iterator<Item = &str>,
) -> Result<(), Fail> {
    if matches!(access, Access::Everyone) {
        return Ok(());
    }
    for path in paths {
        allow(app, access, Right::Read, &StreamPath::parse(path)?).await?;
    }
    Ok(())
}

fn all_of(app: &App, access: &Access, pattern: &Pattern) -> Result<(), Fail> {
    known(app, access)?;
    if access.may_all(Right::Read, pattern) { Ok(()) } else { Err(may_not_follow(app, pattern)) }
}
