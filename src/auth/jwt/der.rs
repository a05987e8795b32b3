//! As much of DER (X.690) as a public key in a PEM file needs. Pure.

const SEQUENCE: u8 = 0x30;
const OBJECT_ID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;

/// The algorithm of a key and the key, out of a `SubjectPublicKeyInfo` (RFC 5280, section 4.1).
pub(super) fn public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (info, []) = value(der, SEQUENCE)? else { return None };
    let (algorithm, rest) = value(info, SEQUENCE)?;
    let (id, _) = value(algorithm, OBJECT_ID)?;
    let (bits, []) = value(rest, BIT_STRING)? else { return None };
    // The first byte says how many bits of the last one do not count; keys have whole bytes.
    Some((id, bits.strip_prefix(&[0])?))
}

/// A value of this kind, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_public_key_is_taken_out_of_its_wrapping() {
        let wrapped = [0x30, 0x0a, 0x30, 0x03, 0x06, 0x01, 0x2b, 0x03, 0x03, 0, 7, 8];
        assert_eq!(public_key(&wrapped), Some((&[0x2b][..], &[7, 8][..])));
        for cut in 0..wrapped.len() {
            assert_eq!(public_key(&wrapped[..cut]), None, "{cut}");
        }
        assert_eq!(public_key(&[&wrapped[..], &[0]].concat()), None);
    }

    proptest! {
        #[test]
        fn rubbish_is_refused_or_taken_apart(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some((id, key)) = public_key(&bytes) {
                prop_assert!(id.len() + key.len() < bytes.len());
            }
        }
    }
}
