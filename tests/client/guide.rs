//! The README shows the client as its guide does, whose code is compiled.

#[test]
fn the_code_of_the_readme_is_code_of_the_guide() {
    let (readme, guide) = (include_str!("../../README.md"), include_str!("../../docs/client.md"));
    let blocks: Vec<_> = readme.split("```rust\n").skip(1).collect();
    assert_eq!(blocks.len(), 1);
    for block in blocks {
        let (code, _) = block.split_once("```").unwrap();
        assert!(guide.contains(code), "{code}");
    }
}
