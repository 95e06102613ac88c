/* Whose the schema esink is. Everything in it runs, or is run, with the relay's rights: the trigger
 * functions in every writer's transaction, the others on the relay's own connections. Whoever owns
 * it, owns something in it, or may create in it can have code of theirs run as us, so such a schema
 * is refused, with what to do.
 *
 * A superuser is a member of every role, and has the most to lose: for it a schema is its own only
 * when it, or another superuser, owns it.
 */
#include "source/postgres/owner.h"

#include "esink/status.h"
#include "source/postgres/statement.h"

#define OWNER_TIMEOUT_MS 60000

/* role, an oid, is one that we are */
#define OURS(role)                                                                                 \
	"EXISTS (SELECT FROM pg_catalog.pg_roles me WHERE me.rolname = current_user AND (me.oid "  \
	"= " role " OR CASE WHEN me.rolsuper THEN EXISTS (SELECT FROM pg_catalog.pg_roles other "  \
	"WHERE other.oid = " role " AND other.rolsuper) ELSE pg_catalog.pg_has_role(" role         \
	", 'USAGE'::text) END))"

/* Of each kind of object that could be called, or whose name could be taken for one of ours, one that is another's. */
#define FOREIGN                                                                                    \
	"(SELECT f.name FROM ("                                                                    \
	"SELECT c.relname::text AS name, c.relowner AS owner FROM pg_catalog.pg_class c WHERE "    \
	"c.relnamespace = n.oid "                                                                  \
	"UNION ALL SELECT p.proname::text, p.proowner FROM pg_catalog.pg_proc p WHERE "            \
	"p.pronamespace = n.oid "                                                                  \
	"UNION ALL SELECT o.oprname::text, o.oprowner FROM pg_catalog.pg_operator o WHERE "        \
	"o.oprnamespace = n.oid "                                                                  \
	"UNION ALL SELECT t.typname::text, t.typowner FROM pg_catalog.pg_type t WHERE "            \
	"t.typnamespace = n.oid) f WHERE NOT " OURS("f.owner") " LIMIT 1)"

/* Who may create in it beside its owner; 0 is PUBLIC. */
#define CREATOR                                                                                    \
	"(SELECT CASE WHEN a.grantee = '0'::oid THEN 'PUBLIC'::text ELSE "                         \
	"pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)::text) END "                 \
	"FROM pg_catalog.aclexplode(n.nspacl) a WHERE a.privilege_type = 'CREATE'::text "          \
	"AND a.grantee <> n.nspowner AND NOT " OURS("a.grantee") " LIMIT 1)"

static const char owner_sql[] =
	"SELECT pg_catalog.pg_get_userbyid(n.nspowner), " OURS("n.nspowner") ", EXISTS (SELECT "
	"FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'meta'::name) OR "
	"coalesce(pg_catalog.starts_with(pg_catalog.obj_description(n.oid, 'pg_namespace'::name), "
	"'esink: change-data-capture relay'::text), false), " /* meta may have been dropped: mend.h */
	FOREIGN ", " CREATOR " FROM pg_catalog.pg_namespace n WHERE n.nspname = 'esink'::name";

enum { OWNER, IS_OURS, HAS_META, OTHERS_OBJECT, OTHER_CREATOR };

static enum status judge(const struct pg *pg, const PGresult *schema, struct err *err)
{
	if (!pg_bool(schema, 0, IS_OURS))
		return err_set(err, STATUS_DENIED,
			"schema esink belongs to role \"%s\", not to \"%s\": it is not ours to use. If "
			"esink ran as that role before, or a dump was restored without owners, run as "
			"\"%s\" or a superuser: DROP SCHEMA esink CASCADE; then start again (a new "
			"journal begins, consumers have to register again)",
			PQgetvalue(schema, 0, OWNER), PQuser(pg->conn), PQgetvalue(schema, 0, OWNER));
	if (!pg_bool(schema, 0, HAS_META))
		return err_set(err, STATUS_INVALID,
			"there is a schema esink which is not esink's: rename or drop it");
	if (!PQgetisnull(schema, 0, OTHERS_OBJECT))
		return err_set(err, STATUS_DENIED,
			"schema esink has an object \"%s\" that belongs to another role, whose code "
			"could run as \"%s\": drop it, or run esink --uninstall and start again",
			PQgetvalue(schema, 0, OTHERS_OBJECT), PQuser(pg->conn));
	if (!PQgetisnull(schema, 0, OTHER_CREATOR))
		return err_set(err, STATUS_DENIED,
			"%s may create in schema esink, whose code could run as \"%s\"; run: REVOKE "
			"CREATE ON SCHEMA esink FROM %s;",
			PQgetvalue(schema, 0, OTHER_CREATOR), PQuser(pg->conn),
			PQgetvalue(schema, 0, OTHER_CREATOR));
	return STATUS_OK;
}

enum status owner_check(struct pg *pg, bool *there, struct err *err)
{
	AUTO_RESULT PGresult *schema = NULL;
	enum status status = pg_query(pg, owner_sql, 0, NULL, OWNER_TIMEOUT_MS, &schema, err);

	if (status != STATUS_OK)
		return status;
	*there = PQntuples(schema) > 0;
	return *there ? judge(pg, schema, err) : STATUS_OK;
}

enum status owner_marked(struct pg *pg, bool *there, bool *marked, struct err *err)
{
	AUTO_RESULT PGresult *schema = NULL;
	enum status status = pg_query(pg, owner_sql, 0, NULL, OWNER_TIMEOUT_MS, &schema, err);

	if (status != STATUS_OK)
		return status;
	*there = PQntuples(schema) > 0;
	*marked = *there && pg_bool(schema, 0, HAS_META);
	return STATUS_OK;
}
