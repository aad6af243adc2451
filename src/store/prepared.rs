//! Statements that SQLite compiles once; compiling one takes longer than carrying it out. Diesel keeps no
//! update prepared, for a set clause may be made at run time and every new text would stay in its cache, and
//! nothing with a piece of SQL in it. Where the text is always the same, these say so.

use std::marker::PhantomData;

use diesel::{
    AppearsOnTable, Expression, QueryResult, RunQueryDsl, SelectableExpression, SqliteConnection,
    expression::{ValidGrouping, is_aggregate},
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{BigInt, Bool, Integer},
    sqlite::Sqlite,
};

/// For statements whose text does not depend on their values.
pub(super) trait Prepare: Sized {
    /// The same statement, kept prepared by its text. For those that answer rows: Diesel's `execute` takes
    /// a reference and asks the statement itself, so it would be compiled every time.
    fn prepared(self) -> Prepared<Self>;

    /// Carries out a statement that answers no rows, kept prepared under this type: see [`run_prepared`].
    fn run_prepared_as<Key: 'static>(self, connection: &mut SqliteConnection) -> QueryResult<()>;
}

/// Carries out, kept prepared, a statement that answers no rows. Each place of this macro has a type of its own
/// as the key of its statement, so that not even the text is made again.
macro_rules! run_prepared {
    ($statement:expr, $connection:expr) => {{
        enum Here {}
        $crate::store::prepared::Prepare::run_prepared_as::<Here>($statement, $connection)
    }};
}
pub(super) use run_prepared;

impl<Statement> Prepare for Statement
where
    Statement: QueryFragment<Sqlite>,
{
    fn prepared(self) -> Prepared<Statement> {
        Prepared(self)
    }

    fn run_prepared_as<Key: 'static>(self, connection: &mut SqliteConnection) -> QueryResult<()> {
        Named(Prepared(Unanswered(self)), PhantomData::<Key>).load::<i32>(connection).map(drop)
    }
}

/// A number that stands in the text of a statement. SQLite uses a partial index only where it can see there
/// that the index holds every row that is asked for.
#[derive(Clone, Copy, Debug, QueryId)]
pub(super) struct Constant<SqlType, const NUMBER: i64>(PhantomData<SqlType>);

/// This number.
pub(super) fn number<const NUMBER: i64>() -> Constant<BigInt, NUMBER> {
    Constant(PhantomData)
}

/// False.
pub(super) fn no() -> Constant<Bool, 0> {
    Constant(PhantomData)
}

impl<SqlType, const NUMBER: i64> Expression for Constant<SqlType, NUMBER>
where
    SqlType: diesel::sql_types::SqlType + diesel::sql_types::SingleValue,
{
    type SqlType = SqlType;
}

impl<SqlType, const NUMBER: i64> QueryFragment<Sqlite> for Constant<SqlType, NUMBER> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        pass.push_sql(&NUMBER.to_string());
        Ok(())
    }
}

impl<SqlType, const NUMBER: i64> ValidGrouping<()> for Constant<SqlType, NUMBER> {
    type IsAggregate = is_aggregate::Never;
}

impl<SqlType, Source, const NUMBER: i64> AppearsOnTable<Source> for Constant<SqlType, NUMBER> where
    Self: Expression
{
}

impl<SqlType, Source, const NUMBER: i64> SelectableExpression<Source> for Constant<SqlType, NUMBER> where
    Self: AppearsOnTable<Source>
{
}

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

/// A statement whose text is that of its key, and so need not be made to be looked up.
struct Named<Statement, Key>(Prepared<Statement>, PhantomData<Key>);

impl<Statement, Key> QueryFragment<Sqlite> for Named<Statement, Key>
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

impl<Statement, Key: 'static> QueryId for Named<Statement, Key> {
    type QueryId = Key;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<Statement: Query, Key> Query for Named<Statement, Key> {
    type SqlType = Statement::SqlType;
}

impl<Statement, Key> RunQueryDsl<SqliteConnection> for Named<Statement, Key> {}

/// A statement without an answer, as one whose answer has no rows.
struct Unanswered<Statement>(Statement);

impl<Statement> QueryFragment<Sqlite> for Unanswered<Statement>
where
    Statement: QueryFragment<Sqlite>,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }
}

impl<Statement> Query for Unanswered<Statement> {
    type SqlType = Integer;
}
