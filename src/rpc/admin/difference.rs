//! Where servers' tables differ first: pure.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    cluster::ServerId,
    wire::cluster::{TablePage, TableRow, TableRows},
};

/// The first page that is not everywhere the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PlaceOfPage {
    pub(super) table: String,
    /// Which of the table's pages.
    pub(super) page: u64,
}

/// The first row that is not everywhere the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct OddRow {
    pub(super) key: String,
    /// Who agrees with whom, and whether they have the row; the largest group first.
    pub(super) groups: Vec<(BTreeSet<ServerId>, bool)>,
    /// The columns that differ; none where the row is missing.
    pub(super) columns: Vec<String>,
}

/// Compares all pages of all servers, which come in one order.
pub(super) fn first_page(pages: &BTreeMap<ServerId, Vec<TablePage>>) -> Option<PlaceOfPage> {
    let longest = pages.values().map(Vec::len).max().unwrap_or(0);
    let at = (0..longest).find(|at| {
        let mut here = pages.values().map(|pages| pages.get(*at));
        let first = here.next();
        here.any(|other| Some(other) != first)
    })?;
    // Where one server's table ends earlier, it tells of the next one already.
    let here = pages.values().filter_map(|pages| pages.get(at));
    let table = here.map(|page| &page.table).min()?.clone();
    let before = &pages.values().next()?[..at];
    let page = before.iter().filter(|page| page.table == table).count() as u64;
    Some(PlaceOfPage { table, page })
}

/// Compares the rows of one page, which all servers begin at the same key.
pub(super) fn first_row(rows: &BTreeMap<ServerId, TableRows>) -> Option<OddRow> {
    let longest = rows.values().map(|rows| rows.rows.len()).max().unwrap_or(0);
    let at = (0..longest).find(|at| {
        let mut here = rows.values().map(|rows| rows.rows.get(*at));
        let first = here.next();
        here.any(|other| Some(other) != first)
    })?;
    let here = |id: &ServerId| rows[id].rows.get(at);
    let keys = rows.keys().filter_map(here).map(|row| row.key.as_str());
    let key = keys.min_by(|one, other| order(one, other))?.to_owned();
    let mut alike: Vec<(BTreeSet<ServerId>, Option<&TableRow>)> = Vec::new();
    for id in rows.keys() {
        let own = here(id).filter(|row| row.key == key);
        match alike.iter_mut().find(|(_, row)| *row == own) {
            Some((servers, _)) => drop(servers.insert(*id)),
            None => alike.push((BTreeSet::from([*id]), own)),
        }
    }
    alike.sort_by_key(|(servers, _)| std::cmp::Reverse(servers.len()));
    let columns = &rows.values().next()?.columns;
    let odd: Vec<&TableRow> = alike.iter().filter_map(|(_, row)| *row).collect();
    let differs =
        |index: usize| odd.windows(2).any(|two| digest(two[0], index) != digest(two[1], index));
    Some(OddRow {
        columns: (0..columns.len())
            .filter(|at| differs(*at))
            .map(|at| columns[at].clone())
            .collect(),
        groups: alike.iter().map(|(servers, row)| (servers.clone(), row.is_some())).collect(),
        key,
    })
}

fn digest(row: &TableRow, column: usize) -> Option<&[u8]> {
    row.digests.get(column * 8..column * 8 + 8)
}

/// The order of keys as the tables have it, from how SQL writes them: numbers by their size, all else by its
/// bytes.
fn order(one: &str, other: &str) -> Ordering {
    let (mut ones, mut others) = (one.split(", "), other.split(", "));
    loop {
        let order = match (ones.next(), others.next()) {
            (None, None) => return Ordering::Equal,
            (Some(one), Some(other)) => match (one.parse::<i64>(), other.parse::<i64>()) {
                (Ok(one), Ok(other)) => one.cmp(&other),
                _ => one.cmp(other),
            },
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(table: &str, digest: u8) -> TablePage {
        TablePage { table: table.into(), rows: 3, digest: vec![digest; 32].into() }
    }

    fn servers<T, const N: usize>(each: [T; N]) -> BTreeMap<ServerId, T> {
        (1..).map(ServerId).zip(each).collect()
    }

    fn ids<const N: usize>(ids: [u32; N]) -> BTreeSet<ServerId> {
        ids.into_iter().map(ServerId).collect()
    }

    /// Rows of two columns, one letter each.
    fn table(rows: &[(&str, &str)]) -> TableRows {
        let row = |(key, letters): &(&str, &str)| TableRow {
            key: (*key).into(),
            digests: letters.bytes().flat_map(|letter| [letter; 8]).collect::<Vec<_>>().into(),
        };
        let columns = vec!["id".into(), "body".into()];
        TableRows { columns, rows: rows.iter().map(row).collect() }
    }

    #[test]
    fn equal_pages_are_no_difference() {
        let pages = vec![page("accounts", 1), page("messages", 2)];
        assert_eq!(first_page(&servers([pages.clone(), pages.clone(), pages])), None);
        let rows = table(&[("1", "aa")]);
        assert_eq!(first_row(&servers([rows.clone(), rows])), None);
    }

    #[test]
    fn the_first_page_that_differs_is_found_in_its_table() {
        let pages = vec![page("accounts", 1), page("messages", 2), page("messages", 3)];
        let mut odd = pages.clone();
        odd[2] = page("messages", 4);
        let found = first_page(&servers([pages.clone(), odd, pages.clone()])).expect("one differs");
        assert_eq!((found.table.as_str(), found.page), ("messages", 1));
        // A table that is a page shorter, and one that is not there at all.
        let short = [page("accounts", 1), page("messages", 2), page("sessions", 5)].to_vec();
        let mut long = pages.clone();
        long.push(page("sessions", 5));
        let found = first_page(&servers([short, long])).expect("one differs");
        assert_eq!((found.table.as_str(), found.page), ("messages", 1));
        let found = first_page(&servers([pages, Vec::new()])).expect("one differs");
        assert_eq!((found.table.as_str(), found.page), ("accounts", 0));
    }

    #[test]
    fn a_changed_row_is_named_with_its_columns_and_who_has_what() {
        let rows = table(&[("9", "aa"), ("10", "bb"), ("11", "cc")]);
        let odd = table(&[("9", "aa"), ("10", "bx"), ("11", "cc")]);
        let found = first_row(&servers([rows.clone(), odd, rows])).expect("one differs");
        assert_eq!((found.key.as_str(), &found.columns[..]), ("10", &["body".to_owned()][..]));
        assert_eq!(found.groups, [(ids([1, 3]), true), (ids([2]), true)]);
    }

    #[test]
    fn a_missing_row_is_named_and_not_the_one_after_it() {
        let rows = table(&[("9", "aa"), ("10", "bb"), ("11", "cc")]);
        let lacks = table(&[("9", "aa"), ("11", "cc")]);
        let found = first_row(&servers([rows.clone(), lacks, rows.clone()])).expect("one differs");
        assert_eq!((found.key.as_str(), found.columns.len()), ("10", 0));
        assert_eq!(found.groups, [(ids([1, 3]), true), (ids([2]), false)]);
        // At the end of the table, too.
        let ends = table(&[("9", "aa"), ("10", "bb")]);
        let found = first_row(&servers([ends, rows])).expect("one differs");
        assert_eq!(found.key, "11");
    }

    #[test]
    fn keys_stand_in_the_order_of_the_tables() {
        assert_eq!(order("9, X'00'", "10, X'00'"), Ordering::Less);
        assert_eq!(order("9, X'0A'", "9, X'0B'"), Ordering::Less);
        assert_eq!(order("'ab', 3", "'abc', 1"), Ordering::Less);
        assert_eq!(order("3", "3"), Ordering::Equal);
    }
}
