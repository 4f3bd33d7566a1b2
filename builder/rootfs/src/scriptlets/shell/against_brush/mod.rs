//! `brush-parser` as a second opinion: both parsers' trees as the same list of events, which must agree on every script.
//!
//! An event is a simple command with its words as they are written, or a mark of the grammar (`if`, `then`, `&&`, …). Commands of substitutions come
//! after the word that they stand in. Not compared: what runs inside `${…}` and `$((…))`, and inside backquotes and here-documents anything but names and numbers of
//! words.

mod ours;
mod theirs;

use ours::ours;
use theirs::theirs;

/// Words of `[[ ]]` that are operators, of which one parser has words and the other a tree.
fn is_test_operator(word: &str) -> bool {
    ["&&", "||", "(", ")", "!", "=", "==", "!=", "=~", "<", ">"].contains(&word)
        || word.strip_prefix('-').is_some_and(|letters| letters.len() <= 2 && letters.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

/// Blanks inside of a substitution are its own; one of the parsers keeps them.
fn squeezed(events: Vec<String>) -> Vec<String> {
    let blank = |event: String| event.replace("\\n", " ").replace("\\t", " ");
    events.into_iter().map(|event| blank(event).split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The first event of our tree of `text` and brush's tree of `other` that differs.
fn difference(text: &str, other: &str) -> Option<String> {
    match (ours(text).map(squeezed), theirs(other).map(squeezed)) {
        (Ok(ours), Ok(theirs)) if ours == theirs => None,
        (Ok(ours), Ok(theirs)) => {
            let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            Some(format!("event {at}: ours {:?}, brush {:?}", ours.get(at), theirs.get(at)))
        }
        (ours, theirs) => Some(format!("ours {:?}, brush {:?}", ours.err(), theirs.err())),
    }
}

/// In the shapes that packages use, and what is awkward to a parser.
const SCRIPTS: [&str; 41] = [
    "",
    "# nothing\n\n",
    "ldconfig",
    "set -e; umask 022 ; exit 0",
    "a && b||c\nd | e 2>&1 | f &\ng",
    "! a && ! b | c",
    "if [ \"$1\" -eq 1 ] && [ -x /usr/bin/x ]; then\n  # Initial installation\n  systemctl preset a.service b.socket >/dev/null 2>&1 || :\nfi",
    "if a; then b; elif c\nthen d; else e; fi >x 2>/dev/null",
    "if { [ a ] || [ b ]; } && (c; d); then e; fi",
    "case \"$1\" in\n  configure|reconfigure) a; b;;\n  (abort-*) ;;\n  *) echo \"called with \\`$1'\" >&2; exit 1\nesac",
    "case x in esac; case $y in a) ;; b|'c d') e ;; esac",
    "for f in a \"b c\" $d; do rm -f \"$f\"; done\nfor g\ndo h; done; for i in; do j; done",
    "while read -r a b; do echo $a; done < /etc/x; until c; do d; done",
    "f() { a; }\ng ()\n{\n b\n}\nh() ( c )\nfunction i { d; }",
    "f() if a; then b; fi",
    "( a; ( b ) ; c ) 2>/dev/null",
    "{ a; b; } > x; { c\n}",
    "getent group x >/dev/null || groupadd -r x\ngetent passwd x >/dev/null || \\\n  useradd -r -g x -d / -s /sbin/nologin -c \"a b\" x",
    "A=1 B=\"$c\" d e=f; G=; H=$(i j)",
    "A=(b \"c d\" e) f; G+=h",
    "a $b ${c} ${d:-e f} ${#g} ${h##*/} ${i%\"j\"} $1 $# $? $$ $@ \"$*\" ${10}",
    "a \"b $c `d e` $(f \"g h\") ${i:-\"j\"}\" 'k \"l' m\\ n \\\" o\\\np",
    "a $(b | c; d) `e \\`f\\` g` $((1 + $h * (2 + 3)))",
    "a=$(b $(c \"$(d)\"))",
    "a$(b)c\"d$(e)f\"'g'",
    "a #b\nc#d e '#f' \"#g\"",
    "a > b < c >> d 2> e 2>&1 <&3 >| f <> g &> h",
    "a 2 >b; c 2>d; e2>f; g 12>&1",
    "cat <<EOF >x\na $b\n$(c d)\nEOF\ne",
    "cat <<'EOF'\na $(b\n'\nEOF\ncat <<-E && f\n\tg\n\tE\nh",
    "a <<X; b <<Y\n1\nX\n2\nY\nc",
    "a=$(cat <<EOF\nb\nEOF\n)\nc",
    "a <<< \"b $c\"",
    "[[ -f $a && $b == c* ]] || d; [[ ! -e x ]]; [[ ( a = b ) || -z $c ]]",
    "[[ $a =~ ^(b|c)$ ]] && d",
    "a <(b c) d",
    "echo {a,b} *.c [d-e] ~f if then done",
    "if (a) then { b; } fi; while { c; } do (d) done; { (e) }",
    "a=b; c\\\nd \\\n e",
    "! { a; }; b && { c; } || { d; }",
    "a; ; b",
];

#[test]
fn every_shape_of_script_has_the_same_tree_for_brush() {
    for script in &SCRIPTS[..SCRIPTS.len() - 1] {
        assert_eq!(difference(script, script), None, "{script}");
    }
    // What is no script for one is none for the other.
    let broken = SCRIPTS[SCRIPTS.len() - 1];
    assert!(ours(broken).is_err() && theirs(broken).is_err());
}

/// Each pair differs in one place that a wrong tree would have wrong.
#[test]
fn the_comparison_sees_a_tree_that_is_wrong_in_one_place() {
    for (one, other) in [
        ("a b", "a 'b'"),
        ("a; b", "a && b"),
        ("a && b", "a || b"),
        ("a | b", "a || b"),
        ("a &", "a"),
        ("! a", "a"),
        ("a > b", "a >> b"),
        ("if a; then b; fi; c", "if a; then b; c; fi"),
        ("if a; then b; elif c; then d; fi", "if a; then b; else if c; then d; fi; fi"),
        ("case x in a|b) c;; esac", "case x in a) c;; b) c;; esac"),
        ("for a in b; do c; done", "for a; do c; done"),
        ("{ a; }", "( a )"),
        ("a() { b; }", "b"),
        ("a $(b; c)", "a $(b)"),
        ("a \"$(b)\"", "a '$(b)'"),
        ("a `b c`", "a `b c d`"),
        ("[[ a = b ]]", "[[ a = c ]]"),
        ("a <<E\n$(b)\nE\n", "a <<E\n$(c)\nE\n"),
    ] {
        assert!(difference(one, other).is_some(), "{one} and {other} are the same to the comparison");
    }
}

/// The scriptlets and triggers of every package among the fixtures that a shell runs.
#[test]
fn real_scriptlets_have_the_same_tree_for_brush() {
    let Some(folder) = fixtures::file("rpms") else { return };
    let mut texts = std::collections::BTreeSet::new();
    for path in fixtures::packages(&folder) {
        let file = std::fs::File::open(&path).unwrap();
        // Some of the fixtures are damaged on purpose.
        let Ok(package) = packages::rpm::parse(std::io::BufReader::new(file)) else { continue };
        let scriptlets = package.scriptlets.iter().map(|scriptlet| (&scriptlet.interpreter, &scriptlet.text));
        let all = scriptlets.chain(package.triggers.iter().map(|trigger| (&trigger.interpreter, &trigger.text)));
        texts.extend(
            all.filter(|(interpreter, _)| interpreter.first().is_none_or(|name| name.ends_with("sh"))).map(|(_, text)| text.clone()),
        );
    }
    assert!(texts.len() > 100, "{} scriptlets", texts.len());
    let differing: Vec<String> = texts.iter().filter_map(|text| Some(format!("{}\n{text}", difference(text, text)?))).collect();
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}
