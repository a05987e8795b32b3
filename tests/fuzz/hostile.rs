//! What is thrown at parsers: right things, changed here and there, and texts that people have
//! broken parsers with. It refuses to know who reads them.

use std::fmt::Write as _;

use proptest::{collection::vec, prelude::*, sample::Index};

/// Pieces that have broken parsers before: escapes, dots, ends of lines, ends of numbers, scripts
/// that are written the other way, halves of surrogates.
const PIECES: &[&str] = &[
    "",
    "/",
    "//",
    ".",
    "..",
    "/../",
    "%2e%2e",
    "%2F",
    "%00",
    "%",
    "%f",
    "%ff",
    "%C3%28",
    "%F0%9F",
    "\0",
    "\r\n",
    "\n\n",
    "\t",
    " ",
    "\u{feff}",
    "\u{202e}",
    "é",
    "日本",
    "🦀",
    "\u{1}",
    "\u{7f}",
    "-1",
    "+1",
    "0",
    "00",
    "1",
    "01",
    "9007199254740991",
    "9007199254740992",
    "18446744073709551615",
    "18446744073709551616",
    "1e3",
    "0x1",
    "1.5",
    "NaN",
    "now",
    "true",
    "null",
    "*",
    "**",
    "a*",
    "*a",
    "/**/",
    ":",
    "::",
    ";",
    ",",
    ",,",
    "=",
    "&",
    "?",
    "#",
    "@",
    "~",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\udc00\\ud800",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "[]",
    "__ds",
    "__ds/subscriptions",
    "__server",
    "__proto__",
    "sessions/",
    "event: x",
    "id: 1",
    "data: ",
    "-",
    "0000000000000001",
    "9999999999999999",
    "5f0c2b1e9a774d10",
];

/// A change of a run of bytes.
#[derive(Debug, Clone)]
enum Edit {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Delete(Index, usize),
    Repeat(Index, usize, usize),
    Cut(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let piece = prop::sample::select(PIECES).prop_map(|text| text.as_bytes().to_vec());
    let bytes = vec(any::<u8>(), 1..4);
    prop_oneof![
        2 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        4 => (any::<Index>(), piece).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        1 => (any::<Index>(), bytes).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (any::<Index>(), 1..8_usize).prop_map(|(at, count)| Edit::Delete(at, count)),
        1 => (any::<Index>(), 1..12_usize, 1..40_usize)
            .prop_map(|(at, count, times)| Edit::Repeat(at, count, times)),
        1 => any::<Index>().prop_map(Edit::Cut),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip(at, bit) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Insert(at, piece) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, piece.iter().copied());
            }
            Self::Delete(at, count) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes.drain(at..bytes.len().min(at + count));
            }
            Self::Repeat(at, count, times) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + count);
                let again = bytes[at..end].repeat(*times);
                bytes.splice(end..end, again);
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            _ => {}
        }
    }
}

/// One of `right`, as it is or with up to six changes.
pub(crate) fn changed(right: &[&str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let right: Vec<Vec<u8>> = right.iter().map(|text| text.as_bytes().to_vec()).collect();
    changed_bytes(right)
}

/// The same for things that are no text.
pub(crate) fn changed_bytes(right: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(right), vec(edit(), 0..6)).prop_map(|(mut bytes, edits)| {
        for edit in &edits {
            edit.apply(&mut bytes);
        }
        bytes
    })
}

/// The same as text; what a change has made no UTF-8 is replaced.
pub(crate) fn changed_text(right: &[&str]) -> impl Strategy<Value = String> + use<> {
    changed(right).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A text of pieces, of any characters, or one of `right` with changes.
pub(crate) fn text(right: &[&str]) -> impl Strategy<Value = String> + use<> {
    let pieces = vec(prop::sample::select(PIECES), 0..6).prop_map(|pieces| pieces.concat());
    prop_oneof![
        4 => changed_text(right),
        2 => pieces,
        1 => "\\PC{0,12}",
        1 => any::<String>(),
        1 => (prop::sample::select(PIECES), 1..400_usize).prop_map(|(piece, times)| piece.repeat(times)),
    ]
}

/// Where a text is cut to come in pieces.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..8)
}

/// The bytes in pieces.
pub(crate) fn pieces(bytes: &[u8], cuts: &[Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.push(bytes.len());
    at.sort_unstable();
    let mut from = 0;
    at.into_iter().map(|to| bytes[std::mem::replace(&mut from, to)..to].to_vec()).collect()
}

/// Percent-encoding of whatever a URL cannot hold; the rest stays as hostile as it is.
pub(crate) fn in_url(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let escapes = !byte.is_ascii_graphic() || b"?#&+\"<>\\^`{|}".contains(&byte);
        if escapes {
            // Writing to a text does not fail.
            let _ = write!(out, "%{byte:02X}");
        } else {
            out.push(char::from(byte));
        }
    }
    out
}
