//! GVariant serialisation (GLib "GVariant Specification 1.0", §2.5): the fixed integers, strings, byte arrays, arrays, tuples, dictionary
//! entries and variants that OSTree's objects are made of.
//!
//! ```text
//! tuple  | member, padded to its alignment | … | end of each member of variable size but the last, backwards |
//! array  | element, padded | … | end of each element, if they are of variable size |
//! variant| value | 0 | type string |
//! ```
//!
//! Framing offsets are little-endian, of the smallest width (1, 2, 4, 8) that can address the container with them in it. Reading refuses offsets that
//! run backwards or out of the container; padding is not looked at, since whoever reads has checked a digest.

use model::{Error, Result, ResultJudged};

/// What framing needs to know of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    align: usize,
    /// `None`: variable.
    size: Option<usize>,
}

impl Shape {
    pub const BYTE: Shape = Shape { align: 1, size: Some(1) };
    pub const U32: Shape = Shape { align: 4, size: Some(4) };
    pub const U64: Shape = Shape { align: 8, size: Some(8) };
    /// `s` and `ay` alike: bytes at any alignment.
    pub const BYTES: Shape = Shape::variable(1);
    pub const VARIANT: Shape = Shape::variable(8);

    /// A tuple of fixed size: `size` bytes with its padding.
    pub const fn fixed(align: usize, size: usize) -> Shape {
        Shape { align, size: Some(size) }
    }

    /// A container whose strictest member is aligned to `align` bytes.
    pub const fn variable(align: usize) -> Shape {
        Shape { align, size: None }
    }
}

/// One serialised value.
#[derive(Debug, Clone)]
pub struct Value {
    shape: Shape,
    bytes: Vec<u8>,
}

impl Value {
    /// `u` in network order, as OSTree stores every number of an object.
    pub fn u32_be(value: u32) -> Value {
        Value { shape: Shape::U32, bytes: value.to_be_bytes().into() }
    }

    /// `t` in network order.
    pub fn u64_be(value: u64) -> Value {
        Value { shape: Shape::U64, bytes: value.to_be_bytes().into() }
    }

    /// `t` in the order of the machines that we build for.
    pub fn u64_le(value: u64) -> Value {
        Value { shape: Shape::U64, bytes: value.to_le_bytes().into() }
    }

    /// `u` in the order of the machines that we build for.
    pub fn u32_le(value: u32) -> Value {
        Value { shape: Shape::U32, bytes: value.to_le_bytes().into() }
    }

    /// `y`.
    pub fn byte(value: u8) -> Value {
        Value { shape: Shape::BYTE, bytes: vec![value] }
    }

    /// A value that is serialised already. Its type must have this shape.
    pub fn serialised(bytes: Vec<u8>, shape: Shape) -> Value {
        Value { shape, bytes }
    }

    pub fn string(text: &str) -> Value {
        Value { shape: Shape::BYTES, bytes: [text.as_bytes(), &[0]].concat() }
    }

    /// `ay`.
    pub fn bytes(bytes: &[u8]) -> Value {
        Value { shape: Shape::BYTES, bytes: bytes.into() }
    }

    /// `ay` with the NUL that GLib calls a byte string.
    pub fn byte_string(bytes: &[u8]) -> Value {
        Value { shape: Shape::BYTES, bytes: [bytes, &[0]].concat() }
    }

    /// `value` must be of the type that `signature` names.
    pub fn variant(value: Value, signature: &str) -> Value {
        Value { shape: Shape::VARIANT, bytes: [&value.bytes, [0].as_slice(), signature.as_bytes()].concat() }
    }

    /// A tuple, or with two members a dictionary entry.
    pub fn tuple(members: &[Value]) -> Value {
        let align = members.iter().map(|m| m.shape.align).max().unwrap_or(1);
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for (i, member) in members.iter().enumerate() {
            pad(&mut bytes, member.shape.align);
            bytes.extend_from_slice(&member.bytes);
            if member.shape.size.is_none() && i + 1 < members.len() {
                ends.push(bytes.len());
            }
        }
        if members.iter().all(|m| m.shape.size.is_some()) {
            pad(&mut bytes, align);
            return Value { shape: Shape { align, size: Some(bytes.len()) }, bytes };
        }
        ends.reverse();
        append_offsets(&mut bytes, &ends);
        Value { shape: Shape::variable(align), bytes }
    }

    /// An array of elements of one shape. The shape is asked for because an empty array has one too.
    pub fn array(element: Shape, elements: &[Value]) -> Value {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for value in elements {
            pad(&mut bytes, element.align);
            bytes.extend_from_slice(&value.bytes);
            ends.push(bytes.len());
        }
        if element.size.is_none() {
            append_offsets(&mut bytes, &ends);
        }
        Value { shape: Shape::variable(element.align), bytes }
    }

    /// `b`.
    pub fn boolean(value: bool) -> Value {
        Value { shape: Shape { align: 1, size: Some(1) }, bytes: vec![u8::from(value)] }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn pad(bytes: &mut Vec<u8>, align: usize) {
    bytes.resize(bytes.len().next_multiple_of(align), 0);
}

fn append_offsets(bytes: &mut Vec<u8>, ends: &[usize]) {
    let body = bytes.len();
    let fits = |width: &usize| ((body + ends.len() * width) as u128) < (1u128 << (8 * width));
    let width = [1, 2, 4].into_iter().find(fits).unwrap_or(8);
    for end in ends {
        bytes.extend_from_slice(&(*end as u64).to_le_bytes()[..width]);
    }
}

fn offset_width(size: usize) -> usize {
    match size as u64 {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

fn broken(what: &str, bytes: &[u8]) -> Error {
    Error::integrity(format!("broken framing in a serialised {what} of {} bytes", bytes.len()))
}

fn offset_at(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    let mut wide = [0; 8];
    wide.get_mut(..width)?.copy_from_slice(field);
    usize::try_from(u64::from_le_bytes(wide)).none_because("an offset beyond the address space is outside the value")
}

/// The members of a tuple whose types have these shapes.
pub fn split_tuple<const N: usize>(bytes: &[u8], shapes: [Shape; N]) -> Result<[&[u8]; N]> {
    let width = offset_width(bytes.len());
    let variable = shapes.iter().take(N.saturating_sub(1)).filter(|s| s.size.is_none()).count();
    let fail = || broken("tuple", bytes);
    let body = variable.checked_mul(width).and_then(|table| bytes.len().checked_sub(table)).ok_or_else(fail)?;
    let mut out: [&[u8]; N] = [&[]; N];
    let (mut at, mut seen) = (0usize, 0);
    for (i, (slot, shape)) in out.iter_mut().zip(shapes).enumerate() {
        let start = at.next_multiple_of(shape.align);
        let end = match shape.size {
            Some(size) => start + size,
            None if i + 1 == N => body,
            None => {
                seen += 1;
                offset_at(bytes, bytes.len() - seen * width, width).ok_or_else(fail)?
            }
        };
        if end > body {
            return Err(fail());
        }
        *slot = bytes.get(start..end).ok_or_else(fail)?;
        at = end;
    }
    Ok(out)
}

/// The elements of an array of values of variable size.
pub fn split_array(bytes: &[u8], element: Shape) -> Result<Vec<&[u8]>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let fail = || broken("array", bytes);
    let width = offset_width(bytes.len());
    let table = offset_at(bytes, bytes.len().checked_sub(width).ok_or_else(fail)?, width).ok_or_else(fail)?;
    let table_len = bytes.len().checked_sub(table).filter(|len| len % width == 0).ok_or_else(fail)?;
    let mut out = Vec::with_capacity(table_len / width);
    let mut at = 0usize;
    for i in 0..table_len / width {
        let end = offset_at(bytes, table + i * width, width).filter(|&end| end <= table).ok_or_else(fail)?;
        out.push(bytes.get(at.next_multiple_of(element.align)..end).ok_or_else(fail)?);
        at = end;
    }
    Ok(out)
}

/// A string's text, without its NUL.
pub fn text(bytes: &[u8]) -> Result<&str> {
    let (last, text) = bytes.split_last().ok_or_else(|| broken("string", bytes))?;
    match std::str::from_utf8(text) {
        Ok(text) if *last == 0 && !text.contains('\0') => Ok(text),
        _ => Err(broken("string", bytes)),
    }
}

pub fn u32_be(bytes: &[u8]) -> Result<u32> {
    bytes.try_into().map(u32::from_be_bytes).map_err(|_| broken("u32", bytes))
}

pub fn u64_be(bytes: &[u8]) -> Result<u64> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| broken("u64", bytes))
}

pub fn u32_le(bytes: &[u8]) -> Result<u32> {
    bytes.try_into().map(u32::from_le_bytes).map_err(|_| broken("u32", bytes))
}

pub fn u64_le(bytes: &[u8]) -> Result<u64> {
    bytes.try_into().map(u64::from_le_bytes).map_err(|_| broken("u64", bytes))
}

/// A variant's value and its type string.
pub fn split_variant(bytes: &[u8]) -> Result<(&[u8], &str)> {
    let fail = || broken("variant", bytes);
    let nul = bytes.iter().rposition(|&b| b == 0).ok_or_else(fail)?;
    let signature = std::str::from_utf8(bytes.get(nul + 1..).unwrap_or(&[])).map_err(|_| fail())?;
    Ok((bytes.get(..nul).unwrap_or(&[]), signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_bytes_of_the_specification_s_examples() {
        // §3: ('foo', -1 as u32) by hand; "array of strings"; a structure with a nested one.
        let tuple = Value::tuple(&[Value::string("foo"), Value::u32_be(u32::MAX)]);
        assert_eq!(tuple.into_bytes(), b"foo\0\xff\xff\xff\xff\x04");
        let words = ["i", "can", "has", "strings?"].map(Value::string);
        assert_eq!(Value::array(Shape::BYTES, &words).into_bytes(), b"i\0can\0has\0strings?\0\x02\x06\x0a\x13");
        assert_eq!(Value::tuple(&[Value::u64_le(1), Value::u32_be(2)]).into_bytes(), b"\x01\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\0");
        assert_eq!(Value::variant(Value::string("x"), "s").into_bytes(), b"x\0\0s");
        assert_eq!(Value::array(Shape::VARIANT, &[]).into_bytes(), b"");
    }

    #[test]
    fn what_was_written_splits_again_at_every_offset_width() {
        for length in [0, 1, 200, 248, 249, 250, 251, 252, 253, 254, 255, 256, 65_520, 65_530, 65_533, 65_535, 70_000] {
            let big = vec![7; length];
            let tuple = Value::tuple(&[Value::bytes(&big), Value::u32_be(5), Value::string("end")]).into_bytes();
            let [a, b, c] = split_tuple(&tuple, [Shape::BYTES, Shape::U32, Shape::BYTES]).unwrap();
            assert_eq!((a, u32_be(b).unwrap(), text(c).unwrap()), (big.as_slice(), 5, "end"), "{length}");
            let array = Value::array(Shape::BYTES, &[Value::bytes(&big), Value::bytes(b"x")]).into_bytes();
            assert_eq!(split_array(&array, Shape::BYTES).unwrap(), [big.as_slice(), b"x"], "{length}");
        }
    }

    #[test]
    fn hostile_framing_is_an_error_and_never_a_panic() {
        let shapes = [Shape::BYTES, Shape::U64, Shape::variable(8)];
        for length in 0..24 {
            for fill in [0u8, 1, 7, 8, 0x80, 0xff] {
                let bytes = vec![fill; length];
                drop(split_tuple(&bytes, shapes));
                drop(split_array(&bytes, Shape::VARIANT));
                drop(split_variant(&bytes));
                drop(text(&bytes));
            }
        }
        assert!(split_array(&[0, 9], Shape::BYTES).is_err());
        assert!(split_tuple(&[1, 2, 3], shapes).is_err());
    }
}
