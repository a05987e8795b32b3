//! Frames of server-sent events. A frame's data may hold line breaks: each line of it becomes a
//! `data:` line, and the reader puts them together again with `\n`, which JSON takes as the
//! white space it was.

/// What every live read begins with: the time to wait before a reconnect, and a comment, so that
/// headers and first bytes leave at once.
pub const PREAMBLE: &[u8] = b"retry: 1000\n\n: connected\n\n";

/// Named event: the state at a place; what follows is what came after it.
pub const SNAPSHOT: &str = "snapshot";
/// Named event: everything that was there has been sent.
pub const CAUGHT_UP: &str = "caught-up";
/// Named event: the line is alive.
pub const HEARTBEAT: &str = "heartbeat";
/// Named event: the read does not go on where it was asked to.
pub const RESET: &str = "reset";
/// Named event: the read is over.
pub const END: &str = "end";

/// Bytes that [`frame`] adds to its data at most, where that has no line breaks.
pub const FRAME_OVERHEAD: usize = 48;

/// Appends a frame: `id`, an event name (none for events of the stream), and data in parts that
/// belong together.
pub fn frame(out: &mut Vec<u8>, id: u64, event: Option<&str>, data: &[&[u8]]) {
    out.extend_from_slice(b"id: ");
    push_number(out, id);
    if let Some(event) = event {
        out.extend_from_slice(b"\nevent: ");
        out.extend_from_slice(event.as_bytes());
    }
    out.extend_from_slice(b"\ndata: ");
    for part in data {
        push_lines(out, part);
    }
    out.extend_from_slice(b"\n\n");
}

/// Appends a number in decimal digits.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut rest = number;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Appends data as `data:` lines, without the space that readers take away; a line that begins
/// with one gets another, so that its own stays.
pub fn data_lines(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        let end = memchr::memchr2(b'\n', b'\r', text);
        let (line, rest) = text.split_at(end.unwrap_or(text.len()));
        out.extend_from_slice(if line.starts_with(b" ") { b"data: " } else { b"data:" });
        out.extend_from_slice(line);
        out.push(b'\n');
        if end.is_none() {
            return;
        }
        let pair = rest.starts_with(b"\r\n");
        text = rest.get(if pair { 2 } else { 1 }..).unwrap_or_default();
    }
}

fn push_lines(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = memchr::memchr2(b'\n', b'\r', text) {
        let (line, rest) = text.split_at(at);
        out.extend_from_slice(line);
        out.extend_from_slice(b"\ndata: ");
        let pair = rest.starts_with(b"\r\n");
        text = rest.get(if pair { 2 } else { 1 }..).unwrap_or_default();
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(id: u64, event: Option<&str>, data: &[&[u8]]) -> String {
        let mut out = Vec::new();
        frame(&mut out, id, event, data);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_frame_has_an_id_a_name_where_it_has_one_and_its_data() {
        assert_eq!(framed(7, None, &[b"{\"a\"", b":1}"]), "id: 7\ndata: {\"a\":1}\n\n");
        assert_eq!(framed(0, Some("end"), &[b"{}"]), "id: 0\nevent: end\ndata: {}\n\n");
    }

    #[test]
    fn each_line_of_the_data_is_a_data_line() {
        let text = framed(1, None, &[b"{\n\"a\":\r\n1\r}"]);
        assert_eq!(text, "id: 1\ndata: {\ndata: \"a\":\ndata: 1\ndata: }\n\n");
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
