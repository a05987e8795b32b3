//! What `scrollback verify --projections` and `scrollback rebuild` say of the list of sessions.

use serde_json::{Value, json};

use crate::server::offline_list::{ListFound, OrderChecked};

/// For people.
pub(super) fn text(found: &ListFound) -> String {
    let checked = match found {
        ListFound::NoList => return "the list of sessions was not saved".to_owned(),
        ListFound::Rebuilt(sessions) => {
            return format!("the list of {sessions} sessions folded and saved");
        }
        ListFound::Checked(checked) => checked,
    };
    let OrderChecked { position, compared, beginning_gone, differing, first } = checked;
    let first = first.as_ref().map_or_else(String::new, |first| format!(", the first is {first}"));
    let gone = match beginning_gone {
        0 => String::new(),
        gone => format!("; {gone} cannot be compared, their first records are no longer kept"),
    };
    format!(
        "the list of sessions, saved at position {position}: {compared} compared with a replay, \
         {differing} differ{first}{gone}"
    )
}

/// For programs.
pub(super) fn value(found: &ListFound) -> Value {
    match found {
        ListFound::NoList => Value::Null,
        ListFound::Rebuilt(sessions) => json!({ "clean": true, "sessions": sessions }),
        ListFound::Checked(checked) => json!({
            "clean": found.is_clean(), "position": checked.position.0,
            "compared": checked.compared, "beginningGone": checked.beginning_gone,
            "differing": checked.differing, "first": checked.first,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_compared_is_no_difference() {
        let gone = OrderChecked { compared: 2, beginning_gone: 1, ..OrderChecked::default() };
        let wrong = OrderChecked {
            differing: 1,
            first: Some("sessions/a".to_owned()),
            beginning_gone: 0,
            ..gone.clone()
        };
        let (gone, wrong) = (ListFound::Checked(gone), ListFound::Checked(wrong));
        assert!(gone.is_clean() && !wrong.is_clean());
        insta::assert_snapshot!(text(&gone), @"the list of sessions, saved at position 0: 2 compared with a replay, 0 differ; 1 cannot be compared, their first records are no longer kept");
        insta::assert_snapshot!(text(&wrong), @"the list of sessions, saved at position 0: 2 compared with a replay, 1 differ, the first is sessions/a");
        assert_eq!(value(&wrong)["first"], "sessions/a");
    }
}
