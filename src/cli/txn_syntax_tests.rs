use super::*;

#[test]
fn comparisons_name_what_they_look_at() {
    let cases = [
        ("version(k)=0", Compare::version("k").equals(0)),
        (" version( a/b ) > 3 ", Compare::version("a/b").greater_than(3)),
        ("create(k)!=7", Compare::create_revision("k").differs(7)),
        ("mod(k)<9", Compare::mod_revision("k").less_than(9)),
        ("session(k)=1f", Compare::session("k").equals(0x1f)),
        ("session(k)=0", Compare::session("k").equals(0)),
        ("value(k)=some text", Compare::value("k").equals("some text")),
        ("value(k) == x", Compare::value("k").equals("x")),
        ("value(k)=", Compare::value("k").equals("")),
        ("value(k)=\"a\\tb\\xff\"", Compare::value("k").equals(b"a\tb\xff")),
        ("value(\"odd) key\")>'it\"s'", Compare::value("odd) key").greater_than("it\"s")),
        ("exists(k)", Compare::exists("k")),
        ("absent('k k')", Compare::absent("k k")),
        ("holds(jobs/nightly)=12", Compare::holds("jobs/nightly", 12)),
    ];
    for (text, wanted) in cases {
        assert_eq!(comparison(text), Ok(wanted), "{text}");
    }
}

#[test]
fn comparisons_that_mean_nothing_say_why() {
    let brackets = |function: &str, what| SyntaxError::Brackets { function: function.to_owned(), what };
    let cases = [
        ("", SyntaxError::Empty),
        ("k=0", SyntaxError::Function("k=0".to_owned())),
        ("size(k)=0", SyntaxError::Function("size".to_owned())),
        ("version", brackets("version", "key")),
        ("version()=0", brackets("version", "key")),
        ("holds(l=12", brackets("holds", "lock")),
        ("version(k)", SyntaxError::Relation("version".to_owned())),
        ("version(k)>=1", SyntaxError::Relation("version".to_owned())),
        ("version(k)=x", SyntaxError::Number("x".to_owned())),
        ("version(k)=+1", SyntaxError::Number("+1".to_owned())),
        ("version(k)=18446744073709551616", SyntaxError::Number("18446744073709551616".to_owned())),
        ("session(k)=xyz", SyntaxError::Session("xyz".to_owned())),
        ("holds(l)>12", SyntaxError::HoldsRelation),
        ("exists(k)=1", SyntaxError::StandsAlone("exists".to_owned())),
        ("value(k)=\"open", SyntaxError::OpenQuote(10)),
        ("value(k)=\"a\\q\"", SyntaxError::Escape(12)),
        ("value(k)=\"a\"b", SyntaxError::AfterQuote(13)),
    ];
    for (text, wanted) in cases {
        assert_eq!(comparison(text), Err(wanted), "{text}");
    }
}

#[test]
fn operations_take_their_words() {
    let cases = [
        ("put k v", Op::put("k", "v")),
        ("put k ''", Op::put("k", "")),
        ("  put \"two words\" \"\\u{e4}\\n\" prev", Op::put_with("two words", "ä\n", PutOptions::new().prev())),
        ("put k v session=1f sequential", Op::put_with("k", "v", PutOptions::new().bind_id(0x1f).sequential())),
        ("get k", Op::get("k")),
        ("list ''", Op::get_with(GetOptions::prefix(""))),
        ("list a/ keys-only limit=5", Op::get_with(GetOptions::prefix("a/").keys_only().limit(5))),
        ("list a/ count", Op::get_with(GetOptions::prefix("a/").count_only())),
        ("delete k", Op::delete("k")),
        ("delete k prefix prev", Op::delete_with(DeleteOptions::prefix("k").prev())),
    ];
    for (text, wanted) in cases {
        assert_eq!(operation(text), Ok(wanted), "{text}");
    }
}

#[test]
fn operations_that_mean_nothing_say_why() {
    let wrong = |text: &str| operation(text).expect_err(text);
    assert_eq!(wrong("  "), SyntaxError::Empty);
    assert_eq!(wrong("drop k"), SyntaxError::Operation("drop".to_owned()));
    assert_eq!(wrong("put k"), SyntaxError::Missing { operation: "put", wants: "a key and a value" });
    assert!(matches!(wrong("put k v w"), SyntaxError::Option { operation: "put", word, .. } if word == "w"));
    assert!(matches!(wrong("get k v"), SyntaxError::Option { operation: "get", .. }));
    assert!(matches!(wrong("list a size=1"), SyntaxError::Option { operation: "list", .. }));
    assert!(matches!(wrong("delete a all"), SyntaxError::Option { operation: "delete", .. }));
    assert_eq!(wrong("list a limit=4294967296"), SyntaxError::Number("4294967296".to_owned()));
    assert_eq!(wrong("put k v session=0"), SyntaxError::Session("0".to_owned()));
    assert_eq!(wrong("put k \"v"), SyntaxError::OpenQuote(7));
    assert_eq!(wrong("put \"k\"v"), SyntaxError::AfterQuote(8));
}

#[test]
fn what_escape_writes_a_quoted_word_reads() {
    for bytes in [&b"a\tb\nc\\d\x1b"[..], &[0xff, 0x00, b'z', 0xc3], "größe \u{202e}".as_bytes()] {
        let quoted = format!("\"{}\"", crate::output::escape(bytes));
        assert_eq!(words(&quoted), Ok(vec![bytes.to_vec()]), "{quoted}");
    }
}

#[test]
fn the_message_names_the_argument() {
    let error = txn(&["version(k)".to_owned()], &[], &[]).expect_err("no relation");
    assert_eq!(error.to_string(), "--if 'version(k)': after `version(…)` one of = != < > is expected");
}

#[test]
fn lists_keep_their_order() {
    let text = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let read = txn(&text(&["exists(a)", "absent(b)"]), &text(&["put c 1", "get c"]), &text(&["get a"]));
    let wanted = Txn::new()
        .when(Compare::exists("a"))
        .when(Compare::absent("b"))
        .then(Op::put("c", "1"))
        .then(Op::get("c"))
        .otherwise(Op::get("a"));
    assert_eq!(read, Ok(wanted));
}
