//! `cat`: a file out of a disk image.

use super::args::CatArguments;
use super::render;
use crate::inspect;
use model::{ImagePath, Result};

pub(super) fn run(arguments: &CatArguments) -> Result<()> {
    let (image, path) = &arguments.file;
    render::bytes(&inspect::cat(image, &ImagePath::parse(path)?)?)
}
