//! Sets without an answer in the real and the stub repositories, and the whole sentence that the user reads.

use super::*;

#[test]
fn each_refusal_reads_as_written_here() {
    let golden = include_str!("refusals.txt");
    let mut seen = String::new();
    for case in golden.split("\n\n").filter(|case| !case.starts_with('#')) {
        let Some((question, _)) = case.split_once('\n') else { panic!("{case:?}") };
        let (names, wanted) = question.split_once(": ").unwrap();
        let repos: Option<Vec<_>> = names
            .split(' ')
            .map(|name| match name {
                "c7" => snapshot("metadata/centos-7.2.1511-os", "c7", 99),
                "kube" => snapshot("metadata/kubernetes-el7", "kube", 99),
                stub => snapshot(&format!("rpms/stub-repos/{stub}"), stub, 99),
            })
            .collect();
        let Some(repos) = repos else { return };
        let install: Vec<&str> = wanted.split(", ").collect();
        let text = match resolve(&repos, &request(&install)) {
            Ok(_) => "has an answer".to_owned(),
            Err(error) => format!("{:?}: {error}", error.kind()),
        };
        let text = text.strip_prefix("Unresolvable: the packages cannot be installed together:\n  ").unwrap_or(&text).replace("\n  ", "\n");
        seen.push_str(&format!("{question}\n{text}\n\n"));
    }
    let expected: String =
        golden.split("\n\n").filter(|case| !case.starts_with('#')).map(|case| format!("{}\n\n", case.trim_end())).collect();
    assert_eq!(seen, expected, "\n{seen}");
}
