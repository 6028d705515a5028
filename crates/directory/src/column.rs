//! [`Paged`]: a column of rows that snapshots share page by page.

use std::sync::Arc;

/// Rows on a page, and pages on a node.
const FAN: usize = 64;

type Page<T> = Arc<Vec<T>>;
type Node<T> = Arc<Vec<Page<T>>>;

/// A growing vector. A copy shares all pages; writing to a row copies its page (64 rows) and the list of the 64 pages
/// around it, no more.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    nodes: Vec<Node<T>>,
    len: usize,
}

impl<T: Clone> Paged<T> {
    pub(crate) fn new() -> Paged<T> {
        Paged { nodes: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, row: usize) -> Option<&T> {
        self.nodes.get(row / (FAN * FAN))?.get(row / FAN % FAN)?.get(row % FAN)
    }

    /// The row for writing. Must exist.
    pub(crate) fn get_mut(&mut self, row: usize) -> Option<&mut T> {
        let node = Arc::make_mut(self.nodes.get_mut(row / (FAN * FAN))?);
        Arc::make_mut(node.get_mut(row / FAN % FAN)?).get_mut(row % FAN)
    }

    pub(crate) fn push(&mut self, value: T) {
        let row = self.len;
        if row.is_multiple_of(FAN * FAN) {
            self.nodes.push(Arc::new(Vec::with_capacity(1)));
        }
        if let Some(node) = self.nodes.last_mut() {
            let node = Arc::make_mut(node);
            if row.is_multiple_of(FAN) {
                node.push(Arc::new(Vec::with_capacity(FAN)));
            }
            if let Some(page) = node.last_mut() {
                Arc::make_mut(page).push(value);
            }
        }
        self.len += 1;
    }

    /// The rows from one on. Going there costs nothing, however far in it is.
    pub(crate) fn iter_from(&self, row: usize) -> impl Iterator<Item = &T> + '_ {
        let (first_node, first_page) = (row / (FAN * FAN), row / FAN);
        let nodes = self.nodes.iter().enumerate().skip(first_node);
        let pages = nodes.flat_map(move |(at, node)| {
            let before = if at == first_node { first_page % FAN } else { 0 };
            node.iter().enumerate().skip(before).map(move |(page, rows)| (at * FAN + page, rows))
        });
        pages.flat_map(move |(at, page)| page.get(if at == first_page { row % FAN } else { 0 }..).unwrap_or(&[]))
    }
}

impl<T> Clone for Paged<T> {
    fn clone(&self) -> Paged<T> {
        Paged { nodes: self.nodes.clone(), len: self.len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_its_rows_when_the_other_is_written() {
        let mut old = Paged::new();
        (0..10_000).for_each(|n| old.push(n));
        let mut new = old.clone();
        *new.get_mut(4_321).unwrap() = -1;
        new.push(-2);
        assert_eq!(old.get(4_321), Some(&4_321));
        assert_eq!(new.get(4_321), Some(&-1));
        assert_eq!(new.get(10_000), Some(&-2));
        assert_eq!(old.get(10_000), None);
        assert_eq!(old.iter_from(0).copied().collect::<Vec<_>>(), (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn rows_from_one_on_are_the_rest_of_all_rows() {
        let mut rows = Paged::new();
        (0..10_000).for_each(|n| rows.push(n));
        for from in [0, 1, 63, 64, 65, 4_095, 4_096, 4_097, 8_191, 9_999, 10_000, 10_001, 1 << 20] {
            assert!(rows.iter_from(from).copied().eq(from..10_000), "from {from}");
        }
    }

    #[test]
    fn writing_a_row_copies_one_page() {
        let mut old = Paged::new();
        (0..10_000).for_each(|n| old.push(n));
        let mut new = old.clone();
        *new.get_mut(0).unwrap() = 7;
        let shared =
            |row: usize| Arc::ptr_eq(&old.nodes[row / 4096][row / 64 % 64], &new.nodes[row / 4096][row / 64 % 64]);
        assert!(!shared(0));
        assert!(shared(64) && shared(9_999));
    }
}
