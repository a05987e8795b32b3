//! Rust sources as text, read just well enough for the rules: comments and strings blanked out,
//! paths of `use` spelled out, functions with their lines.

/// What stands before a module of tests.
const TESTS: &str = "#[cfg(test)]";

/// Lines with their numbers, from 1.
type Lines<'a> = Vec<(usize, &'a str)>;

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path from the root of the package.
    pub(crate) name: String,
    /// Its text.
    pub(crate) raw: String,
    /// All of it is tests.
    pub(crate) is_test_module: bool,
    /// The text with blanks for comments and for what is inside quotes.
    code: String,
    /// Where its lines end.
    line_ends: Vec<usize>,
    /// Line, from 1, at which its tests begin; beyond the end where it has none.
    tests_from: usize,
}

impl Source {
    pub(crate) fn new(name: String, raw: String) -> Self {
        let code = blanked(&raw);
        let lines: Vec<&str> = code.lines().collect();
        let mut pairs = lines.iter().zip(lines.iter().skip(1));
        let tests_from = pairs.position(|(attribute, item)| {
            attribute.trim() == TESTS && item.starts_with("mod ") && item.ends_with('{')
        });
        let tests_from = tests_from.unwrap_or(lines.len()) + 1;
        let line_ends = code.match_indices('\n').map(|(at, _)| at).collect();
        Self { name, raw, is_test_module: false, code, line_ends, tests_from }
    }

    /// The folder of `src` it belongs to, or its module where it lies beside them; `None` for
    /// `lib.rs` and `main.rs`.
    pub(crate) fn folder(&self) -> Option<String> {
        let first = self.name.strip_prefix("src/")?.split('/').next()?;
        let first = first.strip_suffix(".rs").unwrap_or(first);
        (!matches!(first, "lib" | "main")).then(|| first.to_owned())
    }

    pub(crate) fn lines_without_tests(&self) -> usize {
        self.raw.lines().count().min(self.tests_from - 1)
    }

    /// Lines of code that is no test, with their numbers.
    pub(crate) fn code_lines(&self) -> Lines<'_> {
        self.split().0
    }

    /// Lines of tests, with their numbers.
    pub(crate) fn test_lines(&self) -> Lines<'_> {
        self.split().1
    }

    fn split(&self) -> (Lines<'_>, Lines<'_>) {
        let from = if self.is_test_module { 1 } else { self.tests_from };
        (1..).zip(self.code.lines()).partition(|(line, _)| *line < from)
    }

    pub(crate) fn lines_with(&self, text: &str) -> Vec<String> {
        let lines = (1..).zip(self.code.lines()).filter(|(_, line)| line.contains(text));
        lines.map(|(line, _)| format!("{}:{line}", self.name)).collect()
    }

    /// The files that it declares as modules of tests.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let lines: Vec<&str> = self.code.lines().map(str::trim).collect();
        let pairs = lines.iter().zip(lines.iter().skip(1));
        let items = pairs.filter(|(attribute, _)| **attribute == TESTS).map(|(_, item)| item);
        let names = items.filter_map(|item| item.strip_prefix("mod ")?.strip_suffix(';'));
        let stem = self.name.trim_end_matches(".rs");
        let folder = match stem.rsplit_once('/') {
            Some((folder, "mod" | "lib" | "main")) => folder,
            _ => stem,
        };
        names.map(|name| format!("{folder}/{name}.rs")).collect()
    }

    /// Every path that begins with `crate::` outside of tests, without the `crate`.
    pub(crate) fn crate_paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        for (line, tree) in self.trees("crate::") {
            for path in items(&tree) {
                found.push((line, path.split("::").map(str::to_owned).collect()));
            }
        }
        found
    }

    /// Lines outside of tests where a path climbs to the root of the crate by `super`.
    pub(crate) fn escapes(&self) -> Vec<usize> {
        let inner = self.name.trim_start_matches("src/").trim_end_matches(".rs");
        let depth = inner.trim_end_matches("/mod").split('/').count();
        let climbs = "super::".repeat(depth);
        let inside = |line: &str| line.starts_with(char::is_whitespace);
        let lines = self.code_lines().into_iter();
        // A module within the file lies one deeper; its lines are indented.
        let climbing = lines.filter(|(_, text)| text.contains(&climbs) && !inside(text));
        climbing.map(|(line, _)| line).collect()
    }

    /// Lines that name an external crate.
    pub(crate) fn names_of_crate(&self, name: &str) -> Vec<usize> {
        let root = format!("{name}::");
        let uses = self.uses();
        let direct = uses.iter().filter(|(_, path)| path.starts_with(&root) || path == name);
        let mut lines: Vec<usize> = direct.map(|(line, _)| *line).collect();
        let module = format!("mod {name}");
        let ours = uses.iter().any(|(_, path)| path.ends_with(&format!("::{name}")))
            || self.code.lines().any(|line| line.contains(&module));
        let code = self.code_without_uses();
        let bare = (1..).zip(code.lines()).filter(|(_, text)| {
            text.match_indices(&root).any(|(at, _)| {
                let before = text.get(..at).unwrap_or_default();
                let absolute = before.trim_end_matches("::").ends_with([' ', '(', '<', '&']);
                let is_path = before.ends_with("::");
                let begins = !before.ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
                (begins && !ours) || (is_path && absolute)
            })
        });
        lines.extend(bare.map(|(line, _)| line));
        lines
    }

    /// Every path of every `use`, spelled out.
    fn uses(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (line, statement) in self.use_statements() {
            found.extend(items(&statement).into_iter().map(|path| (line, path)));
        }
        found
    }

    /// The statements of `use`, each from behind the word to the semicolon.
    fn use_statements(&self) -> Vec<(usize, String)> {
        let starts = self.code.match_indices("use ").filter(|(at, _)| {
            let line = self.code.get(..*at).unwrap_or_default().rsplit('\n').next();
            line.is_some_and(|before| {
                let before = before.trim();
                before.is_empty() || before.starts_with("pub")
            })
        });
        let statement = |(at, _): (usize, &str)| {
            let rest = self.code.get(at + 4..).unwrap_or_default();
            let end = rest.find(';').unwrap_or(rest.len());
            (self.line_of(at), rest.get(..end).unwrap_or_default().to_owned())
        };
        starts.map(statement).collect()
    }

    fn code_without_uses(&self) -> String {
        let mut code = self.code.clone();
        for (_, statement) in self.use_statements() {
            let blank: String =
                statement.chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
            code = code.replace(&statement, &blank);
        }
        code
    }

    /// What follows each `root` outside of tests, up to the end of its path or tree.
    fn trees(&self, root: &str) -> Vec<(usize, String)> {
        let found =
            self.code.match_indices(root).filter(|(at, _)| self.line_of(*at) < self.tests_from);
        let found = found.filter(|_| !self.is_test_module);
        found
            .map(|(at, _)| {
                let rest = self.code.get(at + root.len()..).unwrap_or_default();
                (self.line_of(at), paths_from(rest).to_owned())
            })
            .collect()
    }

    fn line_of(&self, at: usize) -> usize {
        self.line_ends.partition_point(|end| *end < at) + 1
    }

    /// Every function with a body: its line, its name, its lines from signature to closing brace.
    pub(crate) fn functions(&self) -> Vec<(usize, String, usize)> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let before = self.code.get(..at).unwrap_or_default();
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = self.code.get(at + 3..).unwrap_or_default();
            let name: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if let Some(end) = body_end(rest).filter(|_| !name.is_empty()) {
                let lines = rest.get(..end).unwrap_or_default().matches('\n').count() + 1;
                found.push((self.line_of(at), name, lines));
            }
        }
        found
    }
}

/// Where the body of a function ends; `None` where it has none.
fn body_end(signature: &str) -> Option<usize> {
    let (mut parens, mut braces) = (0_i32, 0_i32);
    for (at, c) in signature.char_indices() {
        match c {
            '(' | '[' => parens += 1,
            ')' | ']' => parens -= 1,
            ';' if parens == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces <= 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        // The type of a function pointer ends with its list or its field.
        if parens < 0 {
            return None;
        }
    }
    None
}

/// The path or tree of paths at the beginning of a text.
pub(crate) fn paths_from(text: &str) -> &str {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        let goes_on = match c {
            '{' => {
                // A tree follows `::` at once; any other brace is a body.
                let tree = at == 0 || text.get(..at).is_some_and(|before| before.ends_with("::"));
                depth += 1;
                tree || depth > 1
            }
            '}' => {
                depth -= 1;
                depth >= 0
            }
            ',' | ' ' | '\n' | '*' => depth > 0,
            c => c.is_alphanumeric() || c == '_' || c == ':',
        };
        if !goes_on {
            return text.get(..at).unwrap_or_default();
        }
        if c == '}' && depth == 0 {
            return text.get(..=at).unwrap_or_default();
        }
    }
    text
}

/// The paths of a tree such as `a::{b, c::{D, e as f}}`, spelled out.
pub(crate) fn items(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, rest)) = tree.split_once('{') else {
        let path = tree.split_whitespace().next().unwrap_or_default();
        let path = path.trim_end_matches("::self").trim_end_matches("::");
        return if path.is_empty() { Vec::new() } else { vec![path.to_owned()] };
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let mut paths = Vec::new();
    let (mut depth, mut from) = (0_i32, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = inner.get(from..at).unwrap_or_default();
                paths
                    .extend(items(part).into_iter().map(|path| format!("{}{path}", prefix.trim())));
                from = at + 1;
            }
            _ => {}
        }
    }
    paths.iter().map(|path| path.trim_end_matches("::self").to_owned()).collect()
}

/// Whether a word stands in a line by itself.
pub(crate) fn is_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + word.len()..).unwrap_or_default();
        !before.ends_with(joins) && !after.starts_with(joins)
    })
}

/// The text with blanks for comments, and for what is inside strings and characters.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before_is_name = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let hidden = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if c == 'r' && !before_is_name && raw_string(rest).is_some() {
            raw_string(rest).unwrap_or_default()
        } else if c == '"' {
            string(rest)
        } else if c == '\'' {
            character(rest)
        } else {
            0
        };
        let taken = if hidden == 0 { c.len_utf8() } else { hidden };
        let (piece, after) = rest.split_at(taken);
        match hidden {
            0 => out.push_str(piece),
            _ => out.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
        }
        rest = after;
    }
    out
}

/// Length of the string at the beginning of a text.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the raw string at the beginning of a text, if one is there.
fn raw_string(text: &str) -> Option<usize> {
    let marks = text.get(1..)?.chars().take_while(|c| *c == '#').count();
    let inner = text.get(1 + marks..)?.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(marks));
    Some(inner.find(&close).map_or(text.len(), |end| 2 + marks + end + close.len()))
}

/// Length of the character at the beginning of a text, or 0 where it is a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text
            .get(2..)
            .and_then(|rest| {
                let from = rest.chars().next()?.len_utf8();
                Some(2 + from + rest.get(from..)?.find('\'')? + 1)
            })
            .unwrap_or(0),
        Some((_, _)) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}
