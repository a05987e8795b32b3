//! What the first bytes of a connection say that the other end speaks. Pure. Invariant: whatever
//! is no beginning of HTTP/2 is HTTP/1.1, and that is known with the first byte that differs.

/// How every connection of HTTP/2 begins (RFC 9113, section 3.4).
pub(super) const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// What is spoken, once the bytes say it.
pub(super) fn version(first: &[u8]) -> Option<Version> {
    if first.starts_with(HTTP2) {
        return Some(Version::Two);
    }
    (!HTTP2.starts_with(first)).then_some(Version::One)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_whole_preface_is_http2() {
        for end in 0..HTTP2.len() {
            assert_eq!(version(&HTTP2[..end]), None, "{end}");
            let mut other = HTTP2[..=end].to_vec();
            other[end] ^= 1;
            assert_eq!(version(&other), Some(Version::One), "{end}");
        }
        assert_eq!(version(HTTP2), Some(Version::Two));
        assert_eq!(version(&[HTTP2, b"x"].concat()), Some(Version::Two));
        assert_eq!(version(b"POST"), Some(Version::One));
    }
}
