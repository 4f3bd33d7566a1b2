//! The update server: any static web server does, so it is Python's.

use model::{Result, ResultExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The port that the lab's image knows.
const PORT: &str = "22780";

/// Serves as long as it lives.
pub struct Server(Child);

impl Server {
    pub fn start(folder: &Path) -> Result<Server> {
        let mut command = Command::new("python3");
        command.args(["-m", "http.server", PORT, "--bind", "127.0.0.1", "--directory"]).arg(folder);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Server).context(|| "start python3's web server")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
