//! Records: a row's values, each with a serial type that says what and how long it is (fileformat2 §2.1).

use std::borrow::Cow;
use std::cmp::Ordering;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    Integer(i64),
    /// UTF-8, or what takes its place in rpm's headers.
    Text(Cow<'a, [u8]>),
    Blob(Cow<'a, [u8]>),
}

/// Header (its own length and the serial types, as varints), then the values.
pub(super) fn record(values: &[Value<'_>]) -> Vec<u8> {
    let mut types = Vec::with_capacity(values.len() * 2);
    let mut body = Vec::new();
    for value in values {
        match value {
            Value::Null => types.push(0),
            Value::Integer(number) => integer(*number, &mut types, &mut body),
            Value::Text(text) => {
                varint(text.len() as u64 * 2 + 13, &mut types);
                body.extend_from_slice(text);
            }
            Value::Blob(bytes) => {
                varint(bytes.len() as u64 * 2 + 12, &mut types);
                body.extend_from_slice(bytes);
            }
        }
    }
    // The length counts itself: one byte up to 127 in all, two beyond that.
    let length = types.len() + if types.len() < 127 { 1 } else { 2 };
    let mut out = Vec::with_capacity(length + body.len());
    varint(length as u64, &mut out);
    out.append(&mut types);
    out.append(&mut body);
    out
}

/// In the fewest bytes of 0, 1, 2, 3, 4, 6 and 8.
fn integer(number: i64, types: &mut Vec<u8>, body: &mut Vec<u8>) {
    if matches!(number, 0 | 1) {
        return types.push(8 + number as u8);
    }
    let (kind, size) = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 6)]
        .into_iter()
        .find(|(_, size)| (-1i64 << (size * 8 - 1)..1i64 << (size * 8 - 1)).contains(&number))
        .unwrap_or((6, 8));
    types.push(kind);
    body.extend_from_slice(&number.to_be_bytes()[8 - size..]);
}

/// Big-endian, seven bits a byte, the high bit on all but the last; a ninth byte has eight.
pub(super) fn varint(number: u64, out: &mut Vec<u8>) {
    if number >> 56 != 0 {
        for shift in (1..9).rev() {
            out.push((number >> (shift * 7 + 1)) as u8 | 0x80);
        }
        return out.push(number as u8);
    }
    let bytes = (64 - number.leading_zeros()).div_ceil(7).max(1);
    for shift in (1..bytes).rev() {
        out.push((number >> (shift * 7)) as u8 | 0x80);
    }
    out.push((number & 0x7f) as u8);
}

/// As indexes sort: nothing, numbers, text, bytes.
pub(super) fn order(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    let rank = |value: &Value<'_>| match value {
        Value::Null => 0,
        Value::Integer(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    };
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}
