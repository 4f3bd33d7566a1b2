//! Commands in a guest, over ssh through a port of this machine that is forwarded to it.

use model::{Error, Kind, Result, ResultExt, ResultJudged};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How one user logs in.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// On 127.0.0.1.
    pub port: u16,
    pub user: String,
    pub login: Login,
}

#[derive(Debug, Clone)]
pub enum Login {
    /// Given to ssh by sshpass.
    Password(String),
    /// The file of a private key without a passphrase.
    Key(PathBuf),
}

/// What a command in the guest did.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The command's; 255 when ssh itself failed, 124 when the time was over.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ssh {
    /// Runs `command` with `input` on its stdin for at most `seconds`; whatever its exit code is. An error only if ssh cannot be started.
    pub fn run(&self, command: &str, input: &[u8], seconds: u64) -> Result<Answer> {
        let mut child = self.start(command, seconds)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).ignore_because("a guest that does not read says so by its exit");
        }
        let output = child.wait_with_output().context(|| "wait for ssh")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Answer { status: output.status.code().unwrap_or(255), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Starts `command` without waiting for it; it ends after `seconds` at the latest.
    pub fn start(&self, command: &str, seconds: u64) -> Result<std::process::Child> {
        let mut ssh = Command::new("timeout");
        ssh.arg(seconds.to_string());
        match &self.login {
            Login::Password(password) => ssh.args(["sshpass", "-p", password, "ssh", "-o", "PubkeyAuthentication=no"]),
            Login::Key(file) => ssh.args(["ssh", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-F", "none", "-i"]).arg(file),
        };
        ssh.args(["-p", &self.port.to_string(), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=30"])
            .args([&format!("{}@127.0.0.1", self.user), command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| Error::tool("cannot start timeout and ssh").source(e).hint("install coreutils and the OpenSSH client"))
    }

    /// Runs `command` and returns what it printed. An error if it fails.
    pub fn must(&self, command: &str, input: &[u8], seconds: u64) -> Result<String> {
        let answer = self.run(command, input, seconds)?;
        if answer.status == 0 {
            return Ok(answer.stdout);
        }
        let shortened: String = command.chars().take(80).collect();
        let Answer { status, stdout, stderr } = answer;
        Err(Error::new(Kind::Verification, format!("ssh {shortened:?} ended with {status}:\n{stdout}{stderr}")))
    }
}

/// Makes a key pair for [`Login::Key`] in `folder`; returns the private key's file and the public key's line.
pub fn make_key(folder: &Path) -> Result<(PathBuf, String)> {
    let file = folder.join("ssh-key");
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "atomic-image", "-f"])
        .arg(&file)
        .output()
        .map_err(|e| Error::tool("cannot start ssh-keygen").source(e).hint("install the OpenSSH client"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::tool(format!("ssh-keygen ended with {}: {said}", output.status)));
    }
    let public = file.with_extension("pub");
    let line = std::fs::read_to_string(&public).context(|| format!("read {}", public.display()))?;
    Ok((file, line.trim().to_owned()))
}
