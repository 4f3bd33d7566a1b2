//! stub
pub struct DirEntry;
pub struct Reader;
