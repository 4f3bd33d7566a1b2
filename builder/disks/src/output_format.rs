//! The files that a disk can be written as, and the firmware that it can boot from.

use model::ByteSize;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutputFormat {
    Raw,
    RawZstd,
    RawXz,
    Qcow2,
    Vmdk,
    Ova,
    Vhd,
    VhdDynamic,
    Vhdx,
    Gce,
}

impl OutputFormat {
    pub const ALL: [OutputFormat; 10] = [
        OutputFormat::Raw,
        OutputFormat::RawZstd,
        OutputFormat::RawXz,
        OutputFormat::Qcow2,
        OutputFormat::Vmdk,
        OutputFormat::Ova,
        OutputFormat::Vhd,
        OutputFormat::VhdDynamic,
        OutputFormat::Vhdx,
        OutputFormat::Gce,
    ];

    /// In recipes, on the command line, in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            OutputFormat::Raw => "raw",
            OutputFormat::RawZstd => "raw.zst",
            OutputFormat::RawXz => "raw.xz",
            OutputFormat::Qcow2 => "qcow2",
            OutputFormat::Vmdk => "vmdk",
            OutputFormat::Ova => "ova",
            OutputFormat::Vhd => "vhd",
            OutputFormat::VhdDynamic => "vhd-dynamic",
            OutputFormat::Vhdx => "vhdx",
            OutputFormat::Gce => "gce",
        }
    }

    /// Of the file, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            OutputFormat::VhdDynamic => "dynamic.vhd",
            OutputFormat::Gce => "tar.gz",
            other => other.name(),
        }
    }

    /// What it is and for whom, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            OutputFormat::Raw => "the disk byte for byte, with holes",
            OutputFormat::RawZstd => "raw, compressed with zstd, with a seek table",
            OutputFormat::RawXz => "raw, compressed with xz",
            OutputFormat::Qcow2 => "QEMU, libvirt, OpenStack",
            OutputFormat::Vmdk => "VMware, streamOptimized",
            OutputFormat::Ova => "vSphere: the vmdk with its description",
            OutputFormat::Vhd => "Azure: fixed size",
            OutputFormat::VhdDynamic => "Hyper-V: only what is used",
            OutputFormat::Vhdx => "Hyper-V",
            OutputFormat::Gce => "Google Compute Engine: disk.raw in a tar.gz",
        }
    }

    /// The largest disk that it can hold, where that is less than a filesystem can have.
    pub fn max_disk(self) -> Option<ByteSize> {
        match self {
            // Offsets of sectors with 32 bits.
            OutputFormat::Vmdk | OutputFormat::Ova => Some(ByteSize::mib((2 << 20) - 1)),
            // Microsoft's limit for VHD.
            OutputFormat::Vhd | OutputFormat::VhdDynamic => Some(ByteSize::mib(2040 << 10)),
            _ => None,
        }
    }

    /// Whether it can say that a disk has sectors of 4096 bytes, or leaves that to whoever attaches it.
    pub fn takes_large_sectors(self) -> bool {
        matches!(self, OutputFormat::Raw | OutputFormat::RawZstd | OutputFormat::RawXz | OutputFormat::Qcow2 | OutputFormat::Vhdx)
    }
}

/// Of qcow2 clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    Zstd,
    /// Deflate, for programs that do not know zstd (QEMU before 5.1).
    Zlib,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    Bios,
    Uefi,
}
