module github.com/redtick/redtick/test/mutants

go 1.26.0
