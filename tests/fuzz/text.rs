//! Parsers of short texts, asked directly: what is taken prints back to itself, and what was
//! printed is taken.

use proptest::prelude::*;
use scrollback::{
    client::Event,
    limits,
    log::{Pattern, StreamPath, json, parse_offset},
    server::{Settings, settings},
    session::{ChannelName, Filter, Stored, vocabulary::KnownEvent},
    subscription::{Targets, target},
    wire::{
        paths,
        protocol::{self, Start},
    },
};

use crate::{
    few,
    hostile::{changed, text},
};

const PATHS: &[&str] = &["sessions/abc", "a/b/c", "é/x y", "app", "sessions/*", "**/x"];
const SETTINGS: &[&str] = &[
    "listen = \"127.0.0.1:1\"\nretention = \"7d\"\nlog_filter = \"warn\"\ncors_origins = [\"*\"]\n",
    "data_dir = \"x\"\npublic_url = \"https://log.example/x\"\ninsecure_no_auth = true\n",
];
const URLS: &[&str] = &[
    "https://worker.example/hooks?x=1",
    "http://localhost:3000/hook",
    "https://8.8.8.8:8443/x",
    "https://[2606:4700::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://2130706433/",
];

proptest! {
    #![proptest_config(few())]

    #[test]
    fn offsets_print_back(given in text(&["0", "17", "9007199254740991"])) {
        if let Ok(offset) = parse_offset(&given) {
            prop_assert!(offset.0 <= limits::OFFSET_MAX);
            prop_assert_eq!(parse_offset(&offset.0.to_string()), Ok(offset));
        }
    }

    #[test]
    fn offsets_of_the_protocol_print_back(given in text(&["-1", "now", "0000000000000017"])) {
        if let Some(Start::After(offset)) = protocol::parse_start(&given) {
            prop_assert_eq!(protocol::offset(offset), given);
        }
    }

    #[test]
    fn paths_print_back_and_go_through_a_url(given in text(PATHS)) {
        if let Ok(path) = StreamPath::parse(&given) {
            prop_assert_eq!(path.as_str(), given.as_str());
            let url = paths::protocol_stream(&given);
            prop_assert!(url.is_ascii());
            prop_assert_eq!(paths::protocol_path(&url), Some(given));
        }
    }

    #[test]
    fn urls_of_streams_are_read_or_refused(given in text(&["/v1/stream/a%20b", "http://x/v1/stream/a"])) {
        if let Some(path) = paths::protocol_path(&given) {
            prop_assert_eq!(paths::protocol_path(&paths::protocol_stream(&path)), Some(path));
        }
    }

    #[test]
    fn spans_print_back(given in text(&["30d", "12h", "1500ms", "2w"])) {
        if let Ok(span) = settings::parse_span(&given) {
            prop_assert_eq!(settings::parse_span(&settings::span_text(span)), Ok(span));
        }
    }

    #[test]
    fn settings_print_back(given in text(SETTINGS)) {
        if let Ok(read) = toml::from_str::<Settings>(&given) {
            let printed = toml::to_string(&read);
            prop_assert!(printed.is_ok(), "{read:?}: {printed:?}");
            let again: Settings = toml::from_str(&printed.unwrap()).unwrap();
            prop_assert_eq!(&again, &read);
            prop_assert_eq!(again.check(), read.check());
        }
    }

    #[test]
    fn channel_names_print_back(given in text(&["session:abc", "config:*", "app", "*"]), path in text(PATHS)) {
        if let Ok(name) = ChannelName::parse(&given) {
            prop_assert_eq!(name.to_string(), given);
            let _ = name.stands_for(&path);
        }
    }

    #[test]
    fn patterns_print_back_and_match_what_they_begin_with(given in text(PATHS), path in text(PATHS)) {
        if let Ok(pattern) = Pattern::parse(&given) {
            prop_assert_eq!(Pattern::parse(pattern.as_str()), Ok(pattern.clone()));
            prop_assert!(!pattern.matches(&path) || path.starts_with(pattern.prefix()));
        }
    }

    #[test]
    fn webhooks_that_are_called_are_what_was_checked(given in text(URLS), development: bool) {
        let targets = if development { Targets::Localhost } else { Targets::Public };
        if let Ok(url) = target::check(&given, targets) {
            prop_assert_eq!(target::check(url.as_str(), targets), Ok(url.clone()));
            prop_assert!(url.scheme() == "https" || (development && url.scheme() == "http"));
        }
    }

    #[test]
    fn filters_take_or_refuse(names in text(&["message,todo", "message.*", "*"])) {
        let by_channel = Filter::default().with_channels(&names);
        prop_assert_eq!(by_channel.is_ok(), Filter::default().with_types(&names).is_ok());
    }

    #[test]
    fn json_that_is_taken_is_json(given in changed(&["{\"a\":[1,2.5e3,-0,true,null,\"\\u00e9\"]}", "[[],{}]", "\"x\""])) {
        let ours = json::validate(&given);
        // Ours knows no numbers out of range and bounds the depth; else both agree.
        if ours.is_ok() {
            prop_assert!(std::str::from_utf8(&given).is_ok());
            let theirs = serde_json::from_slice::<serde::de::IgnoredAny>(&given);
            prop_assert!(theirs.is_ok(), "{theirs:?}");
        }
    }

    #[test]
    fn json_of_any_kind_is_shown_as_an_event_that_clients_read(
        offset in 1..limits::OFFSET_MAX,
        payload in changed(&[
            "{\"id\":\"e\",\"channel\":\"x\",\"type\":\"y\",\"timestamp\":1,\"data\":{}}",
            "{\"id\":\"offset\",\"channel\":\"x\",\"type\":\"y\",\"timestamp\":1,\"data\":{\"offset\":9}}",
            "[1,{\"offset\":2}]", "17", "\"x\"", "null",
        ]),
    ) {
        if json::validate(&payload).is_ok() {
            let stored = Stored { offset, timestamp_ms: 1_795_200_000_000, payload: &payload };
            let shown = stored.parts(&mut Vec::new()).concat();
            let event = Event::read(shown.clone());
            prop_assert!(event.is_ok(), "{}: {event:?}", String::from_utf8_lossy(&shown));
            prop_assert_eq!(event.unwrap().offset(), offset);
        }
    }

    #[test]
    fn events_of_a_server_that_lies_are_read_or_refused(given in text(&[
        "{\"offset\":42,\"id\":\"e\",\"channel\":\"message\",\"type\":\"message.part.delta\",\"timestamp\":1,\"data\":{},\"actor\":{}}",
        "{\"stream\":\"s\",\"offset\":1,\"id\":\"e\",\"channel\":\"x\",\"type\":\"x\",\"timestamp\":1,\"data\":null}",
    ])) {
        if let Ok(event) = Event::read(given.clone()) {
            prop_assert_eq!(event.json().as_ref(), given.as_bytes());
            let _ = (event.known(), event.pieces(), event.actor());
        }
    }

    #[test]
    fn data_of_known_types_is_taken_or_refused(
        kind in text(&["message.created", "turn.started", "session.created", "terminal.output"]),
        data in text(&["{\"messageId\":\"m\",\"role\":\"user\",\"parts\":[]}", "{\"turnId\":\"t\"}", "{}"]),
    ) {
        if let Some(Ok(event)) = KnownEvent::parse(&kind, &data) {
            prop_assert!(event.data().is_ok(), "{event:?}");
        }
    }
}
