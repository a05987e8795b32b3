//! Who wants to hear of which events, and how they are told.
//!
//! It refuses to know where the events come from. Invariants: handlers are called in the order in
//! which they were registered; one whose subscription was dropped is not called again, not even
//! for the event that is being dispatched; no lock is held while a handler runs, so that it may
//! register and drop whatever it likes; data that does not fit its handler is told, never passed
//! over.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::{Ended, Event, Followed};
use crate::session::vocabulary::{Kind, Said};

/// Typed handlers of events, by channel and by type. Cheap to clone; clones are one router.
///
/// ```no_run
/// use futures_util::StreamExt;
/// use scrollback::{
///     client::{Client, Router},
///     session::vocabulary::message::MessageCreated,
/// };
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::default();
/// let _all = router.on("message", |event| println!("{}", event.kind()));
/// let _new = router.on_known(|MessageCreated(info), _| println!("{}", info.message_id));
/// let session = Client::new("http://127.0.0.1:4437")?.session("demo");
/// router.run(session.follow(0)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Router {
    routes: Arc<Mutex<Vec<Arc<Route>>>>,
}

/// A handler that is registered. Dropping it takes the handler away.
#[derive(Debug)]
#[must_use = "dropping it takes the handler away"]
pub struct Subscription {
    routes: Weak<Mutex<Vec<Arc<Route>>>>,
    route: Arc<Route>,
}

/// The data of an event does not fit a handler of its type.
#[derive(Debug, thiserror::Error)]
#[error("offset {} of type {} does not fit its handler ({why}): compare its data with the handler's type", .event.offset(), .event.kind())]
pub struct Unfit {
    /// The event.
    pub event: Event,
    /// What is wrong with its data.
    pub why: Why,
}

/// What is wrong with an event's data.
pub type Why = Box<dyn Error + Send + Sync>;

struct Route {
    wants: Wants,
    is_dropped: AtomicBool,
}

enum Wants {
    All(Handler),
    Channel(String, Handler),
    Type(String, Handler),
    Kind(Kind, Handler),
    Unfit(Box<dyn Fn(&Unfit) + Send + Sync>),
}

type Handler = Box<dyn Fn(&Event) -> Result<(), Why> + Send + Sync>;

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of: &dyn fmt::Debug = match &self.wants {
            Wants::All(_) => &"all",
            Wants::Channel(name, _) | Wants::Type(name, _) => name,
            Wants::Kind(kind, _) => kind,
            Wants::Unfit(_) => &"unfit",
        };
        f.debug_tuple("Route").field(of).finish()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.route.is_dropped.store(true, Ordering::Release);
        if let Some(routes) = self.routes.upgrade() {
            routes.lock().retain(|route| !Arc::ptr_eq(route, &self.route));
        }
    }
}

impl Router {
    /// Calls `handler` with every event of a channel.
    pub fn on(
        &self,
        channel: impl Into<String>,
        handler: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Subscription {
        self.add(Wants::Channel(channel.into(), sure(handler)))
    }

    /// Calls `handler` with every event.
    pub fn on_all(&self, handler: impl Fn(&Event) + Send + Sync + 'static) -> Subscription {
        self.add(Wants::All(sure(handler)))
    }

    /// Calls `handler` with the data of every event of a type, such as `reaction.added`, read as a
    /// type of yours.
    pub fn on_type<T: DeserializeOwned>(
        &self,
        kind: impl Into<String>,
        handler: impl Fn(T, &Event) + Send + Sync + 'static,
    ) -> Subscription {
        let read = move |event: &Event| {
            handler(event.data_as()?, event);
            Ok(())
        };
        self.add(Wants::Type(kind.into(), Box::new(read)))
    }

    /// Calls `handler` with the data of every event of a kind of the vocabulary, also where it
    /// comes under a short name. The kind is that of the handler's data.
    pub fn on_known<T: Said + 'static>(
        &self,
        handler: impl Fn(T, &Event) + Send + Sync + 'static,
    ) -> Subscription {
        let read = move |event: &Event| {
            if let Some(said) = T::of(T::KIND.parse(event.data())?) {
                handler(said, event);
            }
            Ok(())
        };
        self.add(Wants::Kind(T::KIND, Box::new(read)))
    }

    /// Calls `handler` with every event whose data does not fit a handler of its type. Where there
    /// is none, it is a warning in the log of the program.
    pub fn on_unfit(&self, handler: impl Fn(&Unfit) + Send + Sync + 'static) -> Subscription {
        self.add(Wants::Unfit(Box::new(handler)))
    }

    /// Calls the handlers of an event. One that is registered meanwhile is called from the next
    /// event on.
    pub fn dispatch(&self, event: &Event) {
        let meant = Kind::meant(event.channel(), event.kind());
        self.each(|wants| {
            let handler = match wants {
                Wants::All(handler) => handler,
                Wants::Channel(name, handler) if name == event.channel() => handler,
                Wants::Type(name, handler) if name == event.kind() => handler,
                Wants::Kind(kind, handler) if Some(*kind) == meant => handler,
                _ => return,
            };
            if let Err(why) = handler(event) {
                self.tell(&Unfit { event: event.clone(), why });
            }
        });
    }

    /// Dispatches the events of a follower until it ends, and says why it did; `None` where it
    /// does not say.
    pub async fn run(&self, follower: impl Stream<Item = Followed>) -> Option<Ended> {
        let mut follower = std::pin::pin!(follower);
        while let Some(followed) = follower.next().await {
            match followed {
                Followed::Event(event) => self.dispatch(&event),
                Followed::Ended(ended) => return Some(ended),
                _ => {}
            }
        }
        None
    }

    fn tell(&self, unfit: &Unfit) {
        let mut is_told = false;
        self.each(|wants| {
            if let Wants::Unfit(handler) = wants {
                handler(unfit);
                is_told = true;
            }
        });
        if !is_told {
            tracing::warn!(offset = unfit.event.offset(), "{unfit}");
        }
    }

    /// Those that are registered now, one after the other, without the lock.
    fn each(&self, mut call: impl FnMut(&Wants)) {
        let routes = self.routes.lock().clone();
        for route in routes {
            if !route.is_dropped.load(Ordering::Acquire) {
                call(&route.wants);
            }
        }
    }

    fn add(&self, wants: Wants) -> Subscription {
        let route = Arc::new(Route { wants, is_dropped: AtomicBool::new(false) });
        self.routes.lock().push(Arc::clone(&route));
        Subscription { routes: Arc::downgrade(&self.routes), route }
    }
}

/// A handler that takes every event.
fn sure(handler: impl Fn(&Event) + Send + Sync + 'static) -> Handler {
    Box::new(move |event| {
        handler(event);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::session::vocabulary::{terminal::TerminalInput, todo::TodoUpdated};

    type Heard = Arc<Mutex<Vec<String>>>;

    fn event(channel: &str, kind: &str, data: &Value) -> Event {
        let json = json!({
            "offset": 1, "id": "a", "channel": channel, "type": kind, "timestamp": 1, "data": data,
        });
        Event::read(json.to_string()).unwrap()
    }

    fn note(heard: &Heard, word: &str) -> impl Fn(&Event) + Send + Sync + use<> {
        let (heard, word) = (Arc::clone(heard), word.to_owned());
        move |_| heard.lock().push(word.clone())
    }

    #[test]
    fn handlers_hear_their_channel_type_or_kind_in_the_order_of_their_coming() {
        let (router, heard) = (Router::default(), Heard::default());
        let said = Arc::clone(&heard);
        let typed = router.on_type("made.up", move |n: u64, _| said.lock().push(n.to_string()));
        let _all = router.on_all(note(&heard, "all"));
        let _channel = router.on("terminal", note(&heard, "terminal"));
        let said = Arc::clone(&heard);
        let _known = router.on_known(move |input: TerminalInput, event: &Event| {
            said.lock().push(format!("{} {}", event.kind(), input.data));
        });
        router.dispatch(&event("x", "made.up", &json!(7)));
        router.dispatch(&event("terminal", "input", &json!({"data": "ls"})));
        drop(typed);
        router.dispatch(&event("x", "made.up", &json!(8)));
        assert_eq!(*heard.lock(), ["7", "all", "all", "terminal", "input ls", "all"]);
    }

    #[test]
    fn data_that_does_not_fit_is_told_and_the_others_hear_the_event() {
        let (router, heard) = (Router::default(), Heard::default());
        let (todo, list) = (note(&heard, "todo"), note(&heard, "list"));
        let _todo = router.on_known(move |_: TodoUpdated, event: &Event| todo(event));
        let _list = router.on_type("todo.updated", move |_: Vec<u8>, event| list(event));
        let _all = router.on_all(note(&heard, "all"));
        let said = Arc::clone(&heard);
        let unfit = router.on_unfit(move |unfit| said.lock().push(unfit.to_string()));
        let wrong = event("todo", "todo.updated", &json!({"todos": 3}));
        router.dispatch(&wrong);
        drop(unfit);
        router.dispatch(&wrong);
        insta::assert_snapshot!(heard.lock().join("\n"), @r"
        offset 1 of type todo.updated does not fit its handler (`data.todos` must be an array, not integer `3`): compare its data with the handler's type
        offset 1 of type todo.updated does not fit its handler (invalid type: map, expected a sequence at line 1 column 0): compare its data with the handler's type
        all
        all
        ");
    }

    #[test]
    fn a_handler_may_register_others_and_drop_any_while_it_runs() {
        let (router, heard) = (Router::default(), Heard::default());
        let later = Arc::new(Mutex::new(Vec::new()));
        let (inner, kept, said) = (router.clone(), Arc::clone(&later), Arc::clone(&heard));
        let first = router.on("x", move |_| {
            said.lock().push("first".to_owned());
            let gone = std::mem::take(&mut *kept.lock());
            drop::<Vec<Subscription>>(gone);
            kept.lock().push(inner.on("x", note(&said, "new")));
        });
        later.lock().push(router.on("x", note(&heard, "second")));
        for _ in 0..2 {
            router.dispatch(&event("x", "t", &Value::Null));
        }
        // The second is dropped by the first before its turn; each new one before its first.
        assert_eq!(*heard.lock(), ["first", "first"]);
        drop(first);
        router.dispatch(&event("x", "t", &Value::Null));
        assert_eq!(heard.lock().split_off(2), ["new"]);
    }

    #[test]
    fn a_handler_may_drop_its_own_subscription_and_dispatch() {
        let (router, heard) = (Router::default(), Heard::default());
        let own = Arc::new(Mutex::new(None));
        let (kept, inner, said) = (Arc::clone(&own), router.clone(), Arc::clone(&heard));
        *own.lock() = Some(router.on("x", move |_| {
            let mine: Option<Subscription> = kept.lock().take();
            drop(mine);
            inner.dispatch(&event("y", "t", &Value::Null));
            said.lock().push("x".to_owned());
        }));
        let _other = router.on("y", note(&heard, "y"));
        router.dispatch(&event("x", "t", &Value::Null));
        router.dispatch(&event("x", "t", &Value::Null));
        assert_eq!(*heard.lock(), ["y", "x"]);
    }

    proptest! {
        #[test]
        fn an_event_is_heard_by_those_who_are_registered_for_it_in_order(
            steps in prop::collection::vec((0..3_u8, 0..3_u8), 1..40),
        ) {
            let (router, heard) = (Router::default(), Heard::default());
            let mut kept: BTreeMap<usize, (String, Subscription)> = BTreeMap::new();
            for (number, (step, n)) in steps.into_iter().enumerate() {
                let channel = format!("c{n}");
                match step {
                    0 => {
                        let handler = router.on(channel.clone(), note(&heard, &number.to_string()));
                        kept.insert(number, (channel, handler));
                    }
                    1 => {
                        let some = kept.keys().nth(usize::from(n)).copied();
                        some.and_then(|number| kept.remove(&number));
                    }
                    _ => {
                        router.dispatch(&event(&channel, "t", &Value::Null));
                        let expected: Vec<_> = kept.iter()
                            .filter(|(_, (on, _))| *on == channel)
                            .map(|(number, _)| number.to_string())
                            .collect();
                        prop_assert_eq!(std::mem::take(&mut *heard.lock()), expected);
                    }
                }
            }
        }
    }
}
