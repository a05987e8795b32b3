//! Where an HTTP/1.1 body begins and ends in the bytes of a connection. Pure; it owns no buffer.
//! Invariant: the body it finds does not depend on how the bytes were cut into reads.

/// What tells the end of a body, and how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(usize),
    /// Chunked: before the size line of a chunk.
    ChunkSize,
    /// Chunked: inside a chunk with so many bytes left.
    Chunk(usize),
    /// Chunked: before the line break that ends a chunk.
    ChunkEnd,
    /// Chunked: in the lines after the last chunk.
    Trailer,
    /// The body ends with the connection.
    UntilClose,
    /// Nothing more belongs to this body.
    Done,
}

/// What the next bytes are. `skip` bytes are framing and to be dropped first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// After `skip`, `len` bytes of body.
    Data { skip: usize, len: usize },
    /// More bytes are needed.
    More { skip: usize },
    /// The body has ended.
    End { skip: usize },
    /// Not HTTP.
    Bad,
}

impl Framing {
    /// Looks at the bytes that are there and moves on by what they settle.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        let mut skip = 0;
        loop {
            let rest = bytes.get(skip..).unwrap_or_default();
            match *self {
                Self::Length(0) | Self::Done => {
                    *self = Self::Done;
                    return Step::End { skip };
                }
                Self::Length(_) | Self::Chunk(_) | Self::UntilClose if rest.is_empty() => {
                    return Step::More { skip };
                }
                Self::UntilClose => return Step::Data { skip, len: rest.len() },
                Self::Length(left) => {
                    let len = left.min(rest.len());
                    *self = Self::Length(left - len);
                    return Step::Data { skip, len };
                }
                Self::Chunk(left) => {
                    let len = left.min(rest.len());
                    *self = if len == left { Self::ChunkEnd } else { Self::Chunk(left - len) };
                    return Step::Data { skip, len };
                }
                Self::ChunkSize | Self::ChunkEnd | Self::Trailer => {
                    let Some(end) = memchr::memchr(b'\n', rest) else {
                        return Step::More { skip };
                    };
                    skip += end + 1;
                    let line = rest.get(..end).unwrap_or_default();
                    let Some(next) = self.after_line(line) else { return Step::Bad };
                    *self = next;
                }
            }
        }
    }

    fn after_line(self, line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self {
            Self::ChunkEnd => line.is_empty().then_some(Self::ChunkSize),
            Self::Trailer => Some(if line.is_empty() { Self::Done } else { Self::Trailer }),
            _ => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let digits = str::from_utf8(digits).ok()?.trim();
                match usize::from_str_radix(digits, 16).ok()? {
                    0 => Some(Self::Trailer),
                    size => Some(Self::Chunk(size)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    fn decode(mut framing: Framing, pieces: &[&[u8]]) -> (Vec<u8>, Framing) {
        let (mut buffer, mut body) = (Vec::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match framing.step(&buffer) {
                    Step::Data { skip, len } => {
                        body.extend_from_slice(&buffer[skip..skip + len]);
                        buffer.drain(..skip + len);
                    }
                    Step::More { skip } | Step::End { skip } => {
                        buffer.drain(..skip);
                        break;
                    }
                    Step::Bad => unreachable!("this is HTTP"),
                }
            }
        }
        (body, framing)
    }

    #[test]
    fn a_chunk_size_that_is_no_number_is_refused() {
        assert_eq!(Framing::ChunkSize.step(b"zz\r\n"), Step::Bad);
        assert_eq!(Framing::ChunkEnd.step(b"x\r\n"), Step::Bad);
    }

    #[test]
    fn a_body_with_a_length_ends_there_and_leaves_what_follows() {
        let mut framing = Framing::Length(2);
        assert_eq!(framing.step(b"abHTTP"), Step::Data { skip: 0, len: 2 });
        assert_eq!(framing.step(b"HTTP"), Step::End { skip: 0 });
    }

    proptest! {
        #[test]
        fn chunks_are_joined_wherever_the_reads_were_cut(
            chunks in prop::collection::vec("[ -~]{1,30}", 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut wire = String::new();
            for chunk in &chunks {
                write!(wire, "{:x};x=1\r\n{chunk}\r\n", chunk.len()).unwrap();
            }
            wire += "0\r\nTrailer: x\r\n\r\n";
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for end in at.into_iter().chain([wire.len()]) {
                pieces.push(&wire.as_bytes()[start..end]);
                start = end;
            }
            let (body, framing) = decode(Framing::ChunkSize, &pieces);
            prop_assert_eq!(body, chunks.concat().into_bytes());
            prop_assert_eq!(framing, Framing::Done);
        }
    }
}
