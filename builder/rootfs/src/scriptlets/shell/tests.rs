//! What the tree says, and where a script is refused.

use super::syntax::{CommandKind, Part};
use super::*;

#[test]
fn a_script_comes_apart_with_its_lines() {
    let text = "set -e\nif [ a ] && b; then\n  c | d\nelif e; then f; else g; fi\nx() {\n  y \\\n    z\n}\n";
    let script = parse(text).unwrap();
    let lines: Vec<usize> = script.list.iter().map(|and_or| and_or.span.line).collect();
    assert_eq!(lines, [1, 2, 5]);
    let CommandKind::If { arms, otherwise } = &script.list[1].first.commands[0].kind else { panic!("{script:#?}") };
    assert_eq!((arms.len(), arms[0].0[0].rest.len(), otherwise.len()), (2, 1, 1));
    assert_eq!(arms[0].1[0].first.commands.len(), 2);
    let CommandKind::Function { name, body } = &script.list[2].first.commands[0].kind else { panic!("{script:#?}") };
    let CommandKind::Group(inner) = &body.kind else { panic!("{body:#?}") };
    assert_eq!((name.as_str(), inner[0].span.line), ("x", 6));
    assert_eq!(&text[inner[0].span.start..inner[0].span.end], "y \\\n    z");
}

#[test]
fn words_have_their_text_unless_something_runs_to_make_them() {
    let texts = |text: &str| -> Vec<Option<String>> {
        let script = parse(text).unwrap();
        let CommandKind::Simple { words, .. } = &script.list[0].first.commands[0].kind else { panic!("{script:#?}") };
        words.iter().map(|word| word.text()).collect()
    };
    let some = |list: &[&str]| list.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>();
    assert_eq!(texts("a 'b c' \"$1\"x \"\" d\\ e f\\\ng"), some(&["a", "b c", "${1}x", "", "d e", "fg"]));
    assert_eq!(texts("a \"b\\\\c\\d\\\"e\" ${f:-g}"), some(&["a", "b\\c\\d\"e", "${f:-g}"]));
    for word in ["$(b)", "`b`", "\"$(b)\"", "${x:-$(b)}", "$((1))", "$'b'", "<(b)"] {
        assert_eq!(texts(&format!("a {word}"))[1], None, "{word}");
    }
}

#[test]
fn a_here_document_belongs_to_its_redirection() {
    let script = parse("a <<X <<-'Y'; b\n1 $c\nX\n\t2 $d\n\tY\ne").unwrap();
    assert_eq!(script.list.len(), 3);
    let documents: Vec<Option<usize>> = script.list[0].first.commands[0].redirections.iter().map(|r| r.here_document).collect();
    assert_eq!(documents, [Some(0), Some(1)]);
    assert!(matches!(script.here_documents[0].as_slice(), [Part::Literal(_), Part::Parameter(_), Part::Literal(_)]));
    assert_eq!(script.here_documents[1], [Part::Quoted("2 $d\n".to_owned())]);
}

#[test]
fn what_is_no_script_is_refused_with_its_place() {
    for (text, expected) in [
        ("if x; then y", "line 1, column 13: expected `elif` or `else` or `fi`, found the end"),
        ("a\n  fi", "line 2, column 3: expected a command, found `fi`"),
        ("echo 'a", "line 1, column 7: a single quote that stays open"),
        ("echo \"a\nb", "line 1, column 7: a double quote that stays open"),
        ("a $(b", "line 1, column 5: a ( that stays open"),
        ("a `b", "line 1, column 3: a backquote that stays open"),
        ("a ${b", "line 1, column 6: a ${ that stays open"),
        ("a\nb `c; (d`", "line 2, column 1: expected `)`, found the end"),
        ("case x in a) b", "line 1, column 15: expected `;;` or `esac`, found the end"),
        ("x() {", "line 1, column 6: expected a command, found the end"),
        ("x() y", "line 1, column 5: a function without { and }"),
        ("if a; then fi", "line 1, column 12: expected a command, found `fi`"),
        ("a ;; b", "line 1, column 3: expected a command, found `;;`"),
        ("a )", "line 1, column 3: expected a command, found `)`"),
        ("a &&", "line 1, column 5: expected a command, found the end"),
        ("a | | b", "line 1, column 5: expected a command, found `|`"),
        ("a >", "line 1, column 4: expected a file, found the end"),
        ("k <<EOF\nx", "line 1, column 3: a here-document without its end \"EOF\""),
        ("k <<EOF", "line 1, column 3: a here-document without its end \"EOF\""),
        ("cat <<", "line 1, column 7: expected a file, found the end"),
        ("\\", "line 1, column 1: a backslash at the end"),
        ("[[ a", "line 1, column 5: a [[ without its ]]"),
        ("((a = 1))", "line 1, column 1: an arithmetic command (("),
        ("case x in a) b;& esac", "line 1, column 15: expected `;;` or `esac`, found `;&`"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn nesting_and_length_are_bounded() {
    for open in [
        "if a; then ",
        "$(",
        "( ",
        "{ ",
        "\"$(",
        "`( ",
        "a() { ",
        "x=${y:-",
        "case a in b) ",
        "while a; do ",
        "[[ \"${a:-\"",
        "a <<E\n$(",
        "! ",
    ] {
        let error = parse(&open.repeat(5000)).expect_err(open);
        assert!(error.line <= 5001 && !error.what.is_empty(), "{open}: {error}");
    }
    assert!(parse(&"( ".repeat(40)).unwrap_err().what.contains("found the end"));
    assert!(parse(&"( ".repeat(60)).unwrap_err().what.contains("more than 48 levels"));
    assert!(parse(&"a\n".repeat(100 << 10)).unwrap_err().what.contains("more than 131072"));
}
