//! Updates that SQLite compiles once. Diesel keeps no update prepared, for a set clause may be made at run
//! time and every new text would stay in its cache; compiling one takes longer than carrying it out. Where
//! the text is always the same, `.prepared()` says so.

use diesel::{
    QueryResult, RunQueryDsl, SqliteConnection,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sqlite::Sqlite,
};

/// For statements whose text does not depend on their values.
pub(super) trait Prepare: Sized {
    /// The same statement, kept prepared by its text.
    fn prepared(self) -> Prepared<Self> {
        Prepared(self)
    }
}

impl<Statement> Prepare for Statement where Statement: QueryFragment<Sqlite> {}

/// See [`Prepare::prepared`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Prepared<Statement>(Statement);

impl<Statement> QueryFragment<Sqlite> for Prepared<Statement>
where
    Statement: QueryFragment<Sqlite>,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &Sqlite) -> QueryResult<bool> {
        Ok(true)
    }
}

/// The text is the key in the cache.
impl<Statement> QueryId for Prepared<Statement> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Statement> Query for Prepared<Statement>
where
    Statement: Query,
{
    type SqlType = Statement::SqlType;
}

impl<Statement> RunQueryDsl<SqliteConnection> for Prepared<Statement> {}
