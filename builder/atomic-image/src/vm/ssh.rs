//! Commands in a guest, over ssh through a port of this machine that is forwarded to it.

use model::{Error, Kind, Result, ResultExt, ResultJudged};
use std::io::Write;
use std::process::{Command, Stdio};

/// How one user logs in.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// On 127.0.0.1.
    pub port: u16,
    pub user: String,
    pub password: String,
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
        let mut child = Command::new("timeout")
            .args([&seconds.to_string(), "sshpass", "-p", &self.password, "ssh", "-p", &self.port.to_string()])
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
            .args(["-o", "PubkeyAuthentication=no", "-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=30"])
            .args([&format!("{}@127.0.0.1", self.user), command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context(|| "start timeout, sshpass and ssh")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).ignore_because("a guest that does not read says so by its exit");
        }
        let output = child.wait_with_output().context(|| "wait for ssh")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Answer { status: output.status.code().unwrap_or(255), stdout: text(&output.stdout), stderr: text(&output.stderr) })
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
