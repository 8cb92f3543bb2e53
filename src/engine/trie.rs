//! Options as a token trie.
