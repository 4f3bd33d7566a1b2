//! THE function.

use super::{LockReport, Report, Settings};
use crate::base::{Error, Progress, Result};
use crate::recipe::Recipe;

pub fn build(_recipe: &Recipe, _settings: &Settings, _progress: &dyn Progress) -> Result<Report> {
    Err(Error::internal("the pipeline is not put together yet"))
}

pub fn lock(_recipe: &Recipe, _settings: &Settings, _progress: &dyn Progress) -> Result<LockReport> {
    Err(Error::internal("the pipeline is not put together yet"))
}

pub fn fetch(_recipe: &Recipe, _settings: &Settings, _progress: &dyn Progress) -> Result<LockReport> {
    Err(Error::internal("the pipeline is not put together yet"))
}
