//! The little of ELF that dependencies need: a 64-bit little-endian file's soname and needed libraries (System V gABI, chapters 4 and 5).
//!
//! Every offset is checked; a file that does not hold together has no dynamic information rather than an error, as for ld.so it is no library.

use model::{Arch, ResultJudged};

/// What an ELF file says about shared libraries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dynamic {
    pub soname: Option<String>,
    pub needed: Vec<String>,
}

/// Program header types and dynamic tags (gABI figures 5-2 and 5-10).
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
/// Bytes of one program header and one dynamic entry.
const PHENT: usize = 56;
const DYNENT: usize = 16;
/// Bytes of the longest library name accepted.
const NAME_MAX: usize = 255;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().none_because("the slice has that length")?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().none_because("the slice has that length")?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().none_because("the slice has that length")?))
}

/// `None` if this is no ELF file of the image's architecture or has no dynamic section.
pub fn dynamic(bytes: &[u8]) -> Option<Dynamic> {
    // Class 64 bits, little-endian, version 1.
    if !bytes.starts_with(b"\x7fELF\x02\x01\x01") || u16_at(bytes, 18)? != Arch::TARGET.elf_machine() {
        return None;
    }
    let table = usize::try_from(u64_at(bytes, 32)?).none_because("an offset beyond the address space is outside the file")?;
    if usize::from(u16_at(bytes, 54)?) != PHENT {
        return None;
    }
    let headers: Vec<&[u8]> = (0..usize::from(u16_at(bytes, 56)?))
        .map(|i| table.checked_add(i * PHENT).and_then(|at| bytes.get(at..at.checked_add(PHENT)?)))
        .collect::<Option<_>>()?;
    let section = headers.iter().find(|h| u32_at(h, 0) == Some(PT_DYNAMIC))?;
    let start = usize::try_from(u64_at(section, 8)?).none_because("an offset beyond the address space is outside the file")?;
    let size = usize::try_from(u64_at(section, 32)?).none_because("an offset beyond the address space is outside the file")?;
    let section = bytes.get(start..start.checked_add(size)?)?;
    let entries: Vec<(u64, u64)> =
        section.chunks_exact(DYNENT).filter_map(|e| Some((u64_at(e, 0)?, u64_at(e, 8)?))).take_while(|(tag, _)| *tag != DT_NULL).collect();
    let address = entries.iter().find(|(tag, _)| *tag == DT_STRTAB)?.1;
    // The string table is given by its address: the loaded segment that holds it says where in the file.
    let strings = headers.iter().find_map(|h| {
        let (kind, offset, virtual_address, file_size) = (u32_at(h, 0)?, u64_at(h, 8)?, u64_at(h, 16)?, u64_at(h, 32)?);
        let within = address.checked_sub(virtual_address)?;
        (kind == PT_LOAD && within < file_size).then(|| offset.checked_add(within)).flatten()
    })?;
    let strings = bytes.get(usize::try_from(strings).none_because("an offset beyond the address space is outside the file")?..)?;
    let name = |offset: u64| -> Option<String> {
        let rest = strings.get(usize::try_from(offset).none_because("an offset beyond the address space is outside the file")?..)?;
        let end = rest.iter().take(NAME_MAX + 1).position(|&b| b == 0)?;
        let text = std::str::from_utf8(&rest[..end]).none_because("a name that is not UTF-8 is none that is looked for")?;
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned())
    };
    Some(Dynamic {
        soname: entries.iter().find(|(tag, _)| *tag == DT_SONAME).and_then(|(_, at)| name(*at)),
        needed: entries.iter().filter(|(tag, _)| *tag == DT_NEEDED).filter_map(|(_, at)| name(*at)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_test_needs_what_readelf_says() {
        let program = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&program).unwrap();
        let found = dynamic(&bytes).unwrap();
        let Ok(output) = std::process::Command::new("readelf").arg("-dW").arg(&program).output() else {
            fixtures::missing("no readelf here");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let expected: Vec<&str> = text.lines().filter(|l| l.contains("(NEEDED)")).filter_map(|l| l.split(['[', ']']).nth(1)).collect();
        assert_eq!(found.needed, expected);
        assert!(expected.contains(&"libc.so.6"));
    }

    #[test]
    fn a_cut_or_damaged_file_is_no_panic() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for end in (0..4096).chain([bytes.len() / 2]) {
            let _ = dynamic(&bytes[..end]);
        }
        let mut damaged = bytes[..4096.min(bytes.len())].to_vec();
        for at in 0..1024 {
            let saved = damaged[at];
            damaged[at] = 0xff;
            let _ = dynamic(&damaged);
            damaged[at] = saved;
        }
        assert_eq!(dynamic(b"#!/bin/sh\n"), None);
    }
}
