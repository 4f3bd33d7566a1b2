//! Numbers of the header tags that we read (rpm, `include/rpm/rpmtag.h`).

/// Of the region entry that a signature header or a main header opens with.
pub const HEADER_SIGNATURES: u32 = 62;
pub const HEADER_IMMUTABLE: u32 = 63;
/// Tags below are the header's own.
pub const FIRST_TAG: u32 = 100;

/// Tags of the signature header.
pub mod signature {
    /// OpenPGP over the main header.
    pub const DSA_HEADER: u32 = 267;
    pub const RSA_HEADER: u32 = 268;
    /// Hex digests of the main header.
    pub const SHA1: u32 = 269;
    pub const SHA256: u32 = 273;
    /// Base64 OpenPGP over the main header, any number (rpm 6).
    pub const OPENPGP: u32 = 278;
    /// 16 bytes, of header and payload.
    pub const MD5: u32 = 1004;
    /// OpenPGP over header and payload (rpm 3 and 4).
    pub const PGP: u32 = 1002;
    pub const GPG: u32 = 1005;
}

pub const NAME: u32 = 1000;
pub const VERSION: u32 = 1001;
pub const RELEASE: u32 = 1002;
pub const EPOCH: u32 = 1003;
pub const SUMMARY: u32 = 1004;
pub const DESCRIPTION: u32 = 1005;
pub const BUILD_TIME: u32 = 1006;
pub const VENDOR: u32 = 1011;
pub const LICENSE: u32 = 1014;
pub const URL: u32 = 1020;
pub const GROUP: u32 = 1016;
pub const ARCH: u32 = 1022;
pub const SOURCE_RPM: u32 = 1044;
pub const SOURCE_PACKAGE: u32 = 1106;
pub const PAYLOAD_FORMAT: u32 = 1124;
pub const PAYLOAD_COMPRESSOR: u32 = 1125;
pub const PAYLOAD_SHA256: u32 = 5092;
pub const PAYLOAD_DIGEST_ALGO: u32 = 5093;

pub const OLD_FILENAMES: u32 = 1027;
pub const FILE_SIZES: u32 = 1028;
pub const FILE_MODES: u32 = 1030;
pub const FILE_RDEVS: u32 = 1033;
pub const FILE_MTIMES: u32 = 1034;
pub const FILE_DIGESTS: u32 = 1035;
pub const FILE_LINKTOS: u32 = 1036;
pub const FILE_FLAGS: u32 = 1037;
pub const FILE_USERS: u32 = 1039;
pub const FILE_GROUPS: u32 = 1040;
pub const FILE_DEVICES: u32 = 1095;
pub const FILE_INODES: u32 = 1096;
pub const DIR_INDEXES: u32 = 1116;
pub const BASENAMES: u32 = 1117;
pub const DIRNAMES: u32 = 1118;
pub const LONG_FILE_SIZES: u32 = 5008;
pub const FILE_COLORS: u32 = 1140;
pub const FILE_CAPS: u32 = 5010;
pub const FILE_DIGEST_ALGO: u32 = 5011;

/// Name, flags and version of each sort of dependency.
pub const PROVIDES: [u32; 3] = [1047, 1112, 1113];
pub const REQUIRES: [u32; 3] = [1049, 1048, 1050];
pub const CONFLICTS: [u32; 3] = [1054, 1053, 1055];
pub const OBSOLETES: [u32; 3] = [1090, 1114, 1115];
pub const RECOMMENDS: [u32; 3] = [5046, 5048, 5047];
pub const SUGGESTS: [u32; 3] = [5049, 5051, 5050];
pub const SUPPLEMENTS: [u32; 3] = [5052, 5054, 5053];
pub const ENHANCES: [u32; 3] = [5055, 5057, 5056];
pub const ORDER: [u32; 3] = [5035, 5037, 5036];

/// Scripts of the three sorts of trigger: on packages, on files, on files once a transaction.
pub const TRIGGER_SCRIPTS: [u32; 3] = [1065, 5066, 5076];
/// The program of each script, in the same order of sorts; likewise below.
pub const TRIGGER_PROGRAMS: [u32; 3] = [1092, 5067, 5077];
/// Name (or prefix), flags and version of each condition, and the script that it belongs to.
pub const TRIGGER_CONDITIONS: [[u32; 4]; 3] = [[1066, 1068, 1067, 1069], [5069, 5072, 5071, 5070], [5079, 5082, 5081, 5080]];
/// Of the scripts on files.
pub const TRIGGER_PRIORITIES: [Option<u32>; 3] = [None, Some(5084), Some(5085)];

/// Names of the packages, or prefixes of the paths, that each sort of trigger waits for; and for files which trigger a prefix belongs to.
pub const TRIGGER_NAMES: u32 = 1066;
pub const FILE_TRIGGER_NAMES: u32 = 5069;
pub const FILE_TRIGGER_INDEXES: u32 = 5070;
pub const TRANS_FILE_TRIGGER_NAMES: u32 = 5079;
pub const TRANS_FILE_TRIGGER_INDEXES: u32 = 5080;
