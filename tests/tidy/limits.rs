//! The document of limits against the limits themselves: each has a row there, with its value.

#![expect(clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;

/// Names and values that `docs/limits.md` shows: rows whose first cell is a name in capitals.
fn documented(text: &str) -> Vec<(String, String)> {
    let cells = |line: &str| -> Option<(String, String)> {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        let is_name =
            name.bytes().all(|byte| byte.is_ascii_uppercase() || b"_0123456789".contains(&byte));
        is_name.then_some((name.to_owned(), cells.next()?.to_owned()))
    };
    text.lines().filter_map(cells).collect()
}

/// Names and values of the constants, as the document writes them.
fn defined(text: &str) -> BTreeMap<String, String> {
    let (mut known, mut shown) = (BTreeMap::new(), BTreeMap::new());
    for definition in text.split("\npub const ").skip(1) {
        let (name, rest) = definition.split_once(": ").expect("a type");
        let (kind, rest) = rest.split_once(" = ").expect("a value");
        let (value, _) = rest.split_once(';').expect("an end");
        let number = Expression::value(value, &known);
        let in_bytes = name.contains("BYTES") || value.contains("1024");
        let written = match (kind == "Duration", in_bytes) {
            (true, _) => in_units(number, &SPANS),
            (_, true) => in_units(number, &SIZES),
            _ => thousands(number),
        };
        shown.insert(name.to_owned(), written);
        known.insert(name.to_owned(), number);
    }
    shown
}

const SPANS: [(u64, &str); 6] = [
    (86_400_000_000, "d"),
    (3_600_000_000, "h"),
    (60_000_000, "min"),
    (1_000_000, "s"),
    (1_000, "ms"),
    (1, "µs"),
];
const SIZES: [(u64, &str); 3] = [(1024 * 1024, "MiB"), (1024, "KiB"), (1, "bytes")];

/// In the largest unit that holds it exactly.
fn in_units(number: u64, units: &[(u64, &str)]) -> String {
    let fits = |(size, _): &&(u64, &str)| number >= *size && number.is_multiple_of(*size);
    let (size, name) = units.iter().find(fits).expect("a unit");
    format!("{} {name}", thousands(number / size))
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut written = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// The few forms in which constants are written; times are counted in microseconds.
struct Expression<'a> {
    words: Vec<&'a str>,
    at: usize,
    known: &'a BTreeMap<String, u64>,
}

impl<'a> Expression<'a> {
    fn value(text: &'a str, known: &'a BTreeMap<String, u64>) -> u64 {
        let mut words = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let is_word = |c: char| c.is_alphanumeric() || "_:.".contains(c);
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let length = if length == 0 && rest.starts_with("<<") { 2 } else { length.max(1) };
            let (word, tail) = rest.split_at(length);
            words.push(word);
            rest = tail.trim_start();
        }
        // The type in `NonZero::<usize>::MIN` says nothing here.
        words.retain(|word| !["<", ">", "usize", "NonZero::"].contains(word));
        let mut expression = Expression { words, at: 0, known };
        let value = expression.sum();
        assert_eq!(expression.at, expression.words.len(), "not understood: {text}");
        value
    }

    fn next_is(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at) == Some(&word);
        self.at += usize::from(found);
        found
    }

    fn sum(&mut self) -> u64 {
        let mut value = self.product();
        loop {
            if self.next_is("+") {
                value += self.product();
            } else if self.next_is("-") {
                value -= self.product();
            } else if self.next_is("<<") {
                value <<= self.product();
            } else {
                return value;
            }
        }
    }

    fn product(&mut self) -> u64 {
        let mut value = self.one();
        loop {
            if self.next_is("*") {
                value *= self.one();
            } else if self.next_is("/") {
                value /= self.one();
            } else {
                return value;
            }
        }
    }

    fn one(&mut self) -> u64 {
        let word = *self.words.get(self.at).expect("a value");
        self.at += 1;
        let unit = match word {
            "(" | "Duration::from_micros" => 1,
            "Duration::from_millis" => 1_000,
            "Duration::from_secs" => 1_000_000,
            "::MIN.saturating_add" => return 1 + self.one(),
            _ => {
                let digits = word.replace('_', "");
                return digits.parse().unwrap_or_else(|_| self.known[word]);
            }
        };
        if word != "(" {
            return unit * self.one();
        }
        let value = self.sum();
        assert!(self.next_is(")"), "a bracket is closed");
        value
    }
}

fn read(name: &str) -> String {
    crate::read(&crate::root().join(name))
}

#[test]
fn every_limit_is_in_the_document_of_limits_with_its_value() {
    let files = ["src/limits.rs", "src/limits/access.rs", "src/limits/connections.rs"];
    let defined = defined(&files.map(read).concat());
    let documented = documented(&read("docs/limits.md"));
    let mut wrong = Vec::new();
    for (name, value) in &defined {
        let rows: Vec<_> = documented.iter().filter(|(known, _)| known == name).collect();
        match rows.as_slice() {
            [(_, shown)] if shown == value => {}
            [(_, shown)] => wrong.push(format!("{name} is {value}, and shown as {shown}")),
            [] => wrong.push(format!("no row for it: | `{name}` | {value} |")),
            _ => wrong.push(format!("{name} has {} rows", rows.len())),
        }
    }
    for (name, _) in &documented {
        if !defined.contains_key(name) {
            wrong.push(format!("there is no {name} any more"));
        }
    }
    crate::none("docs/limits.md says other than src/limits.rs", &wrong);
    assert!(defined.len() > 100, "the constants were found");
}

#[test]
fn constants_are_understood_in_each_form_they_have() {
    let text = "\npub const A: usize = 6 * 1024;\npub const B: u64 = (1 << 53) - 1;\n\
                pub const C: Duration = Duration::from_secs(30 * 60);\npub const D: u64 = B / 2;\n\
                pub const E: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(4_095);\n\
                pub const F_BYTES: usize = 2_049;\npub const G: Duration = Duration::from_micros(60);";
    let expected = [
        ("A", "6 KiB"),
        ("B", "9,007,199,254,740,991"),
        ("C", "30 min"),
        ("D", "4,503,599,627,370,495"),
        ("E", "4,096"),
        ("F_BYTES", "2,049 bytes"),
        ("G", "60 µs"),
    ];
    let defined = defined(text);
    let defined: Vec<_> = defined.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(defined, expected);
}
