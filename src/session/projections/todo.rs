//! The list of what is to be done, as it was said last.

use serde::{Deserialize, Serialize};

use super::Event;
use crate::{
    projection::Projection,
    session::vocabulary::{KnownEvent, todo::TodoItem},
};

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Todo {
    /// The items, in order.
    pub todos: Vec<TodoItem>,
    /// When the list was said, Unix milliseconds; 0 where it never was.
    pub updated_at: u64,
    /// The event that said it; 0 where none did.
    pub updated_offset: u64,
}

impl Projection for Todo {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "todo";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        if let Some(KnownEvent::TodoUpdated(said)) = &event.known {
            self.todos.clone_from(&said.todos);
            self.updated_at = event.timestamp_ms;
            self.updated_offset = event.offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::projections::testing::{fold, text_of};

    #[test]
    fn a_list_takes_the_place_of_the_one_before() {
        let todo: Todo = fold(&[
            ("todo.updated", json!({"todos": [{"id": "1", "text": "a", "status": "pending"}]})),
            (
                "todo.updated",
                json!({"todos": [
                    {"id": "2", "content": "b", "status": "in_progress", "owner": "coder"},
                    {"id": "1", "text": "a", "status": "completed"},
                ]}),
            ),
        ]);
        insta::assert_snapshot!(text_of(&todo), @r#"
        todos: [{"id":"2","owner":"coder","status":"in_progress","text":"b"},{"id":"1","status":"completed","text":"a"}]
        updatedAt: 2000
        updatedOffset: 2
        "#);
    }
}
