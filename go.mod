module github.com/redtick/redtick

go 1.26
