//! The rules of the house, as tests: which folder may import which, what has one home, how long
//! files and functions may be, what may not be left lying around. Standard library only; it reads
//! the sources as text, so it is quick and sees code that is not compiled.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

#[path = "tidy/limits.rs"]
mod limits;
#[path = "tidy/text.rs"]
mod text;

use text::{Source, is_word, items, paths_from};

/// Which folder of `src` may import which. Own modules are always allowed, [`FREE`] too.
const IMPORTS: &[(&str, &[&str])] = &[
    // What it shows of a session it reads and folds as a client does.
    ("cli", &["server", "client", "wire", "session::projections", "session::vocabulary"]),
    ("server", &["auth", "http", "session", "projection", "subscription", "log", "store"]),
    ("http", &["auth", "session", "projection", "subscription", "log", "wire"]),
    // Rights are on the paths of streams; tokens are shown in the words of the wire.
    ("auth", &["log", "wire"]),
    // It folds as the server does; what needs a log is not for it.
    (
        "client",
        &["wire", "session::Ids", "session::Stored", "session::projections", "session::vocabulary"],
    ),
    ("session", &["projection", "log"]),
    ("projection", &["log"]),
    // Workers are called in the protocol's words.
    ("subscription", &["log", "wire"]),
    ("log", &["store"]),
    ("store", &[]),
    ("wire", &[]),
    ("clock", &[]),
    ("limits", &[]),
    ("metrics", &[]),
    ("tls", &[]),
];

/// Anyone may import these, but for those in [`LEAVES`].
const FREE: &[&str] = &["clock", "limits", "metrics", "tls"];
const LEAVES: &[&str] = &["wire", "clock", "limits", "metrics", "tls"];

/// Imports that the table does not allow, each for one file and with its reason.
const IMPORTS_OF_ONE_FILE: &[(&str, &str)] = &[
    // The offline commands work on a data folder, without a server.
    ("src/cli/verify.rs", "store"),
    ("src/cli/salvage.rs", "store"),
    ("src/cli/restore.rs", "store"),
    // A backup is checked while it comes.
    ("src/cli/backup.rs", "store::backup"),
    // Tokens are seen to in their file, without a server.
    ("src/cli/token.rs", "auth"),
    // The bench of the log without HTTP.
    ("src/cli/bench/log.rs", "log"),
    ("src/cli/bench/log.rs", "store::sled"),
    // Requests to workers go out in the protocol's words.
    ("src/server/webhooks.rs", "wire"),
    // Numbers are printed in one way, in stored events and in frames.
    ("src/session/event.rs", "wire::sse::push_number"),
    ("src/session/view.rs", "wire::sse::push_number"),
];

/// The stores themselves are chosen where the server is put together; the log knows the trait.
const STORES: &[&str] = &["store::sled", "store::memory", "store::faulty"];

/// The one file that names the `sled` crate.
const HOME_OF_SLED: &str = "src/store/sled/index.rs";

/// Words of code that have one home, outside of tests.
const HOMES: &[(&str, &[&str])] = &[
    ("SystemTime", &["src/clock.rs"]),
    ("Utc::now", &["src/clock.rs"]),
    ("Local::now", &["src/clock.rs"]),
    ("time::sleep", &["src/clock.rs"]),
    ("thread::sleep", &[]),
    ("tokio::spawn", &["src/server/tasks.rs", "src/client/task.rs"]),
    ("task::spawn", &["src/server/tasks.rs", "src/client/task.rs"]),
    ("thread::spawn", &[]),
    ("unbounded_channel", &[]),
    ("unbounded", &[]),
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const ARCHITECTURE_LINES_MAX: usize = 200;

/// Files above the bound, with their lines now. A number may only shrink.
const LONG_FILES: &[(&str, usize)] = &[];

/// Functions above the bound, as `file: name`, with their lines now. A number may only shrink.
const LONG_FUNCTIONS: &[(&str, usize)] = &[];

/// What is unfinished has no place in a commit.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!"),
];

#[test]
fn imports_run_in_the_direction_of_the_architecture_only() {
    let mut wrong = Vec::new();
    for source in sources(&["src"]) {
        let Some(folder) = source.folder() else { continue };
        for (line, path) in source.crate_paths() {
            let target = path.join("::");
            if !may_import(&source.name, &folder, &path) {
                wrong.push(format!("{}:{line}: {folder} may not import {target}", source.name));
            }
        }
        for line in source.escapes() {
            wrong.push(format!("{}:{line}: another folder is named `crate::…`", source.name));
        }
    }
    none("imports against the direction", &wrong);
}

fn may_import(file: &str, folder: &str, path: &[String]) -> bool {
    let begins = |entry: &str| {
        let mut given = path.iter();
        entry.split("::").all(|segment| given.next().is_some_and(|found| found == segment))
    };
    let own = begins(folder);
    let free = !LEAVES.contains(&folder) && FREE.iter().any(|entry| begins(entry));
    let extra = IMPORTS_OF_ONE_FILE.iter().any(|(name, entry)| *name == file && begins(entry));
    let listed = IMPORTS.iter().find(|(name, _)| *name == folder);
    let listed = listed.is_some_and(|(_, entries)| entries.iter().any(|entry| begins(entry)));
    let hidden = folder == "log" && STORES.iter().any(|entry| begins(entry));
    own || free || extra || (listed && !hidden)
}

#[test]
fn every_folder_of_src_has_its_row_in_the_table_of_imports() {
    let mut wrong = Vec::new();
    for source in sources(&["src"]) {
        let known = |folder: &String| IMPORTS.iter().any(|(name, _)| name == folder);
        if source.folder().is_some_and(|folder| !known(&folder)) {
            wrong.push(source.name.clone());
        }
    }
    none("files in a folder that the table does not know", &wrong);
    for (file, _) in IMPORTS_OF_ONE_FILE {
        assert!(root().join(file).exists(), "{file} is gone; take it off IMPORTS_OF_ONE_FILE");
    }
}

#[test]
fn the_sled_crate_is_named_in_one_file_only() {
    let mut wrong = Vec::new();
    for source in sources(&["src", "tests", "benches", "examples"]) {
        if source.name != HOME_OF_SLED {
            let lines = source.names_of_crate("sled");
            wrong.extend(lines.iter().map(|line| format!("{}:{line}", source.name)));
        }
    }
    none(&format!("places outside {HOME_OF_SLED} that name the sled crate"), &wrong);
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let all = sources(&["src", "tests", "benches", "examples"]).into_iter();
    let silent = all.filter(|source| !source.raw.starts_with("//! "));
    let wrong: Vec<_> = silent.map(|source| format!("{}:1", source.name)).collect();
    none("files without a `//!` at their beginning", &wrong);
}

#[test]
fn files_are_short_without_their_tests() {
    let all = sources(&["src", "tests", "benches", "examples"]).into_iter();
    let lengths = all.filter(|source| !source.is_test_module);
    let lengths: Vec<_> =
        lengths.map(|source| (source.name.clone(), 1, source.lines_without_tests())).collect();
    none("file lengths", &ratchet(&lengths, FILE_LINES_MAX, LONG_FILES));
}

#[test]
fn functions_are_short() {
    let mut lengths = Vec::new();
    for source in sources(&["src", "tests", "benches", "examples"]) {
        for (line, name, lines) in source.functions() {
            lengths.push((format!("{}: {name}", source.name), line, lines));
        }
    }
    assert!(lengths.len() > 300, "only {} functions were found", lengths.len());
    none("function lengths", &ratchet(&lengths, FUNCTION_LINES_MAX, LONG_FUNCTIONS));
}

/// What breaks a bound that some may still break, but none more than they did.
fn ratchet(
    lengths: &[(String, usize, usize)],
    max: usize,
    exceptions: &[(&str, usize)],
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, line, lines) in lengths {
        let allowed = exceptions.iter().find(|(known, _)| known == name).map(|(_, lines)| *lines);
        match allowed {
            None if *lines > max => {
                wrong.push(format!("{name} (line {line}) has {lines} lines; {max} are allowed"));
            }
            Some(allowed) if *lines > allowed => {
                wrong.push(format!("{name} (line {line}) grew from {allowed} to {lines} lines"));
            }
            Some(allowed) if *lines < allowed => {
                wrong.push(format!("{name} shrank to {lines} lines; say so in tests/tidy.rs"));
            }
            _ => {}
        }
    }
    let gone =
        exceptions.iter().filter(|(known, _)| !lengths.iter().any(|(name, ..)| name == known));
    wrong.extend(gone.map(|(name, _)| format!("{name} is gone; take it off the list")));
    wrong
}

#[test]
fn nothing_unfinished_is_left() {
    let mut wrong = Vec::new();
    for source in sources(&["src", "tests", "benches", "examples"]) {
        for (line, text) in (1..).zip(source.raw.lines()) {
            if let Some(mark) = UNFINISHED.iter().find(|mark| text.contains(**mark)) {
                wrong.push(format!("{}:{line}: {mark}", source.name));
            }
        }
    }
    none("unfinished places", &wrong);
}

#[test]
fn no_test_is_switched_off() {
    let mut wrong = Vec::new();
    for source in sources(&["src", "tests", "benches", "examples"]) {
        wrong.extend(source.lines_with("#[ignore"));
    }
    none("tests that do not run", &wrong);
}

#[test]
fn tests_never_sleep() {
    let mut wrong = Vec::new();
    for source in sources(&["src", "tests"]) {
        for (line, text) in source.test_lines() {
            // A method of a clock, or its definition, is no sleep: tests move that clock.
            let sleeps = text.match_indices("sleep(").any(|(at, _)| {
                let before = text.get(..at).unwrap_or_default();
                !before.ends_with(['.', '_']) && !before.ends_with("fn ")
            });
            if sleeps {
                wrong.push(format!("{}:{line}", source.name));
            }
        }
    }
    none("tests that sleep", &wrong);
}

#[test]
fn time_tasks_and_queues_have_one_home_each() {
    let mut wrong = Vec::new();
    for source in sources(&["src"]) {
        for (line, text) in source.code_lines() {
            for (word, homes) in HOMES {
                if !homes.contains(&source.name.as_str()) && is_word(text, word) {
                    wrong.push(format!("{}:{line}: {word}", source.name));
                }
            }
        }
    }
    none("words away from their home", &wrong);
}

#[test]
fn every_limit_says_why_and_is_used() {
    let all = sources(&["src"]);
    let limits = all.iter().find(|source| source.name == "src/limits.rs").expect("src/limits.rs");
    let mut wrong = Vec::new();
    let lines: Vec<&str> = limits.raw.lines().collect();
    let mut count = 0;
    for (index, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("pub const ") else { continue };
        let name = rest.split(':').next().unwrap_or_default();
        count += 1;
        if !index.checked_sub(1).is_some_and(|before| lines[before].starts_with("///")) {
            wrong.push(format!("src/limits.rs:{}: {name} does not say why", index + 1));
        }
        let used = all
            .iter()
            .filter(|source| source.name != limits.name)
            .any(|source| source.code_lines().iter().any(|(_, text)| is_word(text, name)));
        if !used {
            wrong.push(format!("src/limits.rs:{}: {name} is not used", index + 1));
        }
    }
    assert!(count > 20, "only {count} limits were found");
    none("limits", &wrong);
}

#[test]
fn every_route_has_its_name_among_those_that_are_documented() {
    let all = sources(&["src"]);
    let paths = all.iter().find(|source| source.name == "src/wire/paths.rs").expect("the paths");
    let named = paths.raw.split("const NAMED").nth(1).and_then(|rest| rest.split("];").next());
    let named = named.expect("NAMED in src/wire/paths.rs");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (line, text) in (1..).zip(paths.raw.lines()) {
        let name = text.strip_prefix("pub const ").and_then(|rest| rest.split_once(": &str = \"/"));
        if let Some((name, _)) = name.filter(|(name, _)| !is_word(named, name)) {
            wrong.push(format!("src/wire/paths.rs:{line}: {name} is not in NAMED"));
        }
    }
    for source in all.iter().filter(|source| source.name.starts_with("src/http/")) {
        for (at, _) in source.raw.match_indices(".route(") {
            let given = source.raw.get(at + ".route(".len()..).unwrap_or_default().trim_start();
            count += 1;
            // `path` is one of the views, which are listed with their paths.
            if !given.starts_with("paths::") && !given.starts_with("path,") {
                let line = source.raw.get(..at).unwrap_or_default().lines().count();
                wrong.push(format!(
                    "{}:{line}: a route that src/wire/paths.rs has not",
                    source.name
                ));
            }
        }
    }
    assert!(count > 40, "only {count} routes were found");
    none("routes that the document of the interface cannot know", &wrong);
}

#[test]
fn every_dependency_has_its_reason_on_its_line() {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let (mut wrong, mut section, mut count) = (Vec::new(), String::new(), 0);
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            if section.contains("dependencies.") {
                wrong.push(format!("Cargo.toml:{number}: a dependency is one line"));
            }
        } else if section.ends_with("dependencies") && !line.trim().is_empty() {
            count += 1;
            let reason = line.rsplit_once("# ").map_or("", |(_, reason)| reason.trim());
            if reason.is_empty() || line.starts_with('#') {
                wrong.push(format!("Cargo.toml:{number}: {line}"));
            }
        }
    }
    assert!(count > 10, "only {count} dependencies were found");
    none("dependencies without a reason", &wrong);
}

#[test]
fn the_documents_name_only_files_that_are_there() {
    let mut wrong = Vec::new();
    for (name, text) in documents() {
        for (number, line) in (1..).zip(text.lines()) {
            for path in line.split(['`', '(', ')', ' ', '"']).filter(|word| is_our_path(word)) {
                let path = path.trim_end_matches(['.', ',', ';', ':']);
                if !root().join(path.trim_end_matches('/')).exists() {
                    wrong.push(format!("{name}:{number}: {path}"));
                }
            }
        }
    }
    none("files that documents name and that are not there", &wrong);
}

#[test]
fn no_document_has_a_place_that_was_to_be_filled() {
    let mut wrong = Vec::new();
    for (name, text) in documents() {
        for (number, line) in (1..).zip(text.lines()) {
            let place = placeholder(line).map(|place| format!("{name}:{number}: %{place}%"));
            wrong.extend(place);
        }
    }
    none("places that were to be filled", &wrong);
    assert_eq!(placeholder("as fast as %TABLE% says"), Some("TABLE"));
    for line in ["50% of A% and 20%", "%% %a% %A1%", "a%20B%20c"] {
        assert_eq!(placeholder(line), None, "{line}");
    }
}

/// The name between two `%`, in capitals, that a script was to put something in place of.
fn placeholder(line: &str) -> Option<&str> {
    let is_name = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase());
    let inner = line.split_once('%')?.1.rsplit_once('%')?.0;
    inner.split('%').find(is_name)
}

fn is_our_path(word: &str) -> bool {
    let ours = ["src/", "tests/", "benches/", "examples/", "docs/", "fixtures/"];
    ours.iter().any(|folder| word.starts_with(folder)) && !word.contains(['*', '<', '{', '…', 'N'])
}

#[test]
fn the_architecture_can_be_read_in_one_go() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the architecture");
    let lines = text.lines().count();
    assert!(lines < ARCHITECTURE_LINES_MAX, "docs/ARCHITECTURE.md has {lines} lines");
}

#[test]
fn the_reader_of_sources_sees_what_it_must() {
    let code = "use crate::{a::{B, c::D}, e};\nfn f() {\n    let _ = \"crate::g\"; // crate::h\n    crate::i::J::k();\n}\n";
    let source = Source::new("src/x/y.rs".to_owned(), code.to_owned());
    let paths: Vec<_> =
        source.crate_paths().iter().map(|(line, path)| (*line, path.join("::"))).collect();
    let expected = [(1, "a::B"), (1, "a::c::D"), (1, "e"), (4, "i::J::k")];
    assert_eq!(paths, expected.map(|(line, path)| (line, path.to_owned())));
    assert_eq!(source.functions(), [(2, "f".to_owned(), 4)]);
    let direct = Source::new("src/x/z.rs".to_owned(), "use sled::Db;\n".to_owned());
    assert_eq!(direct.names_of_crate("sled"), [1]);
    let ours = "use crate::store::{sled, memory};\nfn f() { sled::verify() }\n";
    assert!(
        Source::new("src/x/z.rs".to_owned(), ours.to_owned()).names_of_crate("sled").is_empty()
    );
    let up = Source::new("src/x/z.rs".to_owned(), "use super::super::log::A;\n".to_owned());
    assert_eq!(up.escapes(), [1]);
    assert_eq!(items("a::{b, c as d}"), ["a::b", "a::c"]);
    assert_eq!(paths_from("self::a::B;"), "self::a::B");
    assert!(!may_import("src/store/a.rs", "store", &["log".to_owned(), "Log".to_owned()]));
    assert!(!may_import("src/wire/a.rs", "wire", &["limits".to_owned(), "X".to_owned()]));
}

/// Fails with the list of what is wrong.
fn none(what: &str, wrong: &[String]) {
    let mut list = String::new();
    for line in wrong {
        let _ = write!(list, "\n  {line}");
    }
    assert!(wrong.is_empty(), "{what}: {}{list}", wrong.len());
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files of some folders, in order. They are read once.
fn sources(folders: &[&str]) -> Vec<&'static Source> {
    static ALL: LazyLock<Vec<Source>> = LazyLock::new(read_sources);
    let within = |source: &&Source| {
        folders.iter().any(|folder| source.name.split('/').next() == Some(folder))
    };
    let found: Vec<&Source> = ALL.iter().filter(within).collect();
    assert!(!found.is_empty(), "no sources were found");
    found
}

fn read_sources() -> Vec<Source> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        collect(&root().join(folder), "rs", &mut files);
    }
    let source = |path: PathBuf| Source::new(name(&path), read(&path));
    let mut sources: Vec<Source> = files.into_iter().map(source).collect();
    let tests: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        source.is_test_module = source.name.starts_with("tests/") || tests.contains(&source.name);
    }
    sources
}

fn documents() -> Vec<(String, String)> {
    let mut files = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    collect(&root().join("docs"), "md", &mut files);
    files.into_iter().map(|path| (name(&path), read(&path))).collect()
}

fn collect(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, extension, into);
        } else if path.extension().is_some_and(|found| found == extension) {
            into.push(path);
        }
    }
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    assert!(text.is_ok(), "{}: {text:?}", path.display());
    text.unwrap_or_default()
}
