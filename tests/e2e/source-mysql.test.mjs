// Prevents: a source that breaks one of the promises that do not depend on the database. The cases are in source/.
import { suite } from './source/suite.mjs';

await suite('mysql');
