//! What somebody sees where many streams are shown at once: lists, and live reads across streams.
//!
//! Invariants: nothing that may not be read shows, as an item, a count or a place to go on from;
//! a page is full if there is enough that may be read.

use std::collections::BTreeSet;

use super::App;
use crate::{
    auth::{Access, Right, Rights, Scopes, Verdict},
    http::{error::Fail, params::wrong},
    limits,
    log::{ReadError, StreamInfo, StreamPath},
    session::list::Listed,
};

/// Whether a session in the list is shown.
pub(in crate::http) fn sees(access: &Access, id: &str, listed: &Listed) -> bool {
    if matches!(access, Access::Everyone) {
        return true;
    }
    match access.may(Right::Read, &format!("sessions/{id}")) {
        Verdict::Yes => true,
        Verdict::No => false,
        Verdict::IfSessionOf(worker) => listed.session.worker.as_deref() == Some(&*worker),
    }
}

/// Which of these streams may be read, one by one. Sessions count as they are now.
pub(in crate::http) async fn readable<'a>(
    app: &App,
    access: &Access,
    paths: impl Iterator<Item = &'a str>,
) -> Result<Vec<bool>, ReadError> {
    let mut open = false;
    let verdicts: Vec<_> = paths
        .map(|path| {
            let verdict = access.may(Right::Read, path);
            open |= matches!(verdict, Verdict::IfSessionOf(_));
            (path, verdict)
        })
        .collect();
    if !open {
        return Ok(verdicts.iter().map(|(_, verdict)| *verdict == Verdict::Yes).collect());
    }
    app.sessions()
        .read(|list, _| {
            let is_readable = |(path, verdict): &(&str, Verdict)| match verdict {
                Verdict::Yes => true,
                Verdict::No => false,
                Verdict::IfSessionOf(worker) => {
                    let id = path.strip_prefix("sessions/");
                    id.and_then(|id| list.worker_of(id)) == Some(&**worker)
                }
            };
            verdicts.iter().map(is_readable).collect()
        })
        .await
}

/// Streams that may be read, as [`crate::log::Log::list`] lists them, and whether it gave up before
/// it had looked at all.
pub(in crate::http) async fn streams(
    app: &App,
    access: &Access,
    asked: &str,
    after: &str,
    limit: usize,
) -> Result<(Vec<StreamInfo>, bool), Fail> {
    let all = |found| (found, false);
    match access {
        Access::Everyone => Ok(all(app.log().list(asked, after, limit).await?)),
        Access::Nobody(_) => Ok(all(Vec::new())),
        Access::Holder(grant) => match &grant.rights {
            Rights::Worker(worker) => Ok(all(own(app, worker, asked, after, limit).await?)),
            Rights::Scopes(scopes) => within_scopes(app, scopes, asked, after, limit).await,
        },
    }
}

/// Only where scopes lead is looked: what lies elsewhere costs nothing.
async fn within_scopes(
    app: &App,
    scopes: &Scopes,
    asked: &str,
    after: &str,
    limit: usize,
) -> Result<(Vec<StreamInfo>, bool), Fail> {
    let (mut found, mut looks) = (Vec::new(), limits::LIST_LOOKED_AT_MAX);
    for prefix in disjoint(scopes.prefixes(Right::Read), asked) {
        let keep = |path: &str| scopes.allow(Right::Read, path);
        let more = limit - found.len();
        found.extend(app.log().list_where(prefix, after, more, &mut looks, keep).await?);
        if found.len() == limit || looks == 0 {
            break;
        }
    }
    if looks == 0 && found.is_empty() {
        // A place to go on from would be the name of a stream that may not be read.
        return Err(wrong(
            "prefix",
            "is too wide for the scopes of the token: too many streams lie between those that it \
             may read; name a longer one",
        ));
    }
    let gave_up = looks == 0 && found.len() < limit;
    Ok((found, gave_up))
}

/// The folders to look through, in the order of paths and none within another, where one was asked
/// for and others are open.
fn disjoint<'a>(open: impl Iterator<Item = &'a str>, asked: &'a str) -> Vec<&'a str> {
    let narrowed =
        open.filter_map(|open| match (open.starts_with(asked), asked.starts_with(open)) {
            (true, _) => Some(open),
            (_, true) => Some(asked),
            _ => None,
        });
    let sorted: BTreeSet<&str> = narrowed.collect();
    let mut kept: Vec<&str> = Vec::new();
    for prefix in sorted {
        if kept.last().is_none_or(|last| !prefix.starts_with(last)) {
            kept.push(prefix);
        }
    }
    kept
}

/// The sessions of a worker are few, so they are asked for one by one.
async fn own(
    app: &App,
    worker: &str,
    asked: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<StreamInfo>, Fail> {
    let sessions = app.sessions().read(|list, _| list.of_worker(worker)).await?;
    let mut paths: Vec<String> = sessions.iter().map(|id| format!("sessions/{id}")).collect();
    paths.push(format!("workers/{worker}"));
    paths.sort_unstable();
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.starts_with(asked) && path.as_str() > after) {
        let Ok(path) = StreamPath::parse(path) else { continue };
        match app.log().info(&path).await {
            Ok(info) => found.push(info),
            Err(ReadError::NoStream(_) | ReadError::Gone(_)) => {}
            Err(error) => return Err(error.into()),
        }
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_scopes_and_the_question_meet_is_looked_each_place_once() {
        let of = |open: &[&'static str], asked| disjoint(open.iter().copied(), asked);
        assert_eq!(of(&["sessions", "agents"], ""), ["agents", "sessions"]);
        assert_eq!(of(&["sessions/a", "sessions", "sessions/b"], ""), ["sessions"]);
        assert_eq!(of(&["sessions", "agents"], "sessions/a"), ["sessions/a"]);
        assert_eq!(of(&["sessions/abc"], "sessions/a"), ["sessions/abc"]);
        assert_eq!(of(&["sessions/abc", "config"], "sessions/x"), Vec::<&str>::new());
        assert_eq!(of(&["", "config"], "x"), ["x"]);
        assert_eq!(of(&[], ""), Vec::<&str>::new());
    }
}
